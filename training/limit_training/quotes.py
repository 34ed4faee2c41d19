"""Finds the quote of a CSV file that does not balance.

Python's reader only says that the file ended, which may be far from the quote.
"""

import re

from .files import SEPARATORS, line_of

BACKSLASH = 'a quote in a field is written as \\" here'
BACKSLASH_ADVICE = 'write a quote inside quotes twice (""), and a backslash once'
ADVICE = "close the quote, or write a quote inside quotes twice"


def unbalanced(text: str, separator: str) -> tuple[int, str, str] | None:
    """The line of the quote, what is wrong with it, and what to do."""
    for match in _field(separator).finditer(text):
        if match["quoted"] is None or (match["closed"] is not None and not match["rest"]):
            continue
        backslash = match.group().find('\\"')
        if backslash >= 0:
            return line_of(text, match.start() + backslash), BACKSLASH, BACKSLASH_ADVICE
        if match["closed"] is None:
            what = 'a quote (") opens here and is never closed'
            return line_of(text, match.start()), what, ADVICE
        name = SEPARATORS.get(separator, "separator")
        what = f'a quote (") ends a field here, and no {name} and no end of line follows it'
        return line_of(text, match.end() - 1), what, ADVICE
    return None


def _field(separator: str) -> re.Pattern:
    """A field with what ends it.

    A quote opens a field only as its first character, and two quotes in it are one. `rest` is the
    first character after the closing quote, if the field goes on there.
    """
    other = rf"[^{re.escape(separator)}\r\n]"
    return re.compile(
        rf'(?:(?P<quoted>")(?:[^"]|"")*(?P<closed>"(?P<rest>{other})?)?|{other}*)'
        rf"(?:{re.escape(separator)}|\r\n?|\n|$)?"
    )
