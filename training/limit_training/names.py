"""Names of columns, and other exact texts of the table, as they are given on the command line.

A list is split at commas. A name with a comma may stand in quotes (`"Income, annual",age`), as in a
CSV file. An exact name wins over one without the blanks around it.
"""

import re
import shlex
from collections.abc import Collection, Iterable

# A word of a list with the comma that ends it. Quotes count only around a whole word.
WORD = re.compile(r'\s*"(?P<quoted>(?:[^"]|"")*)"\s*(?:,|$)|(?P<plain>[^,]*)(?:,|$)')
SIMPLE = re.compile(r"[^\s,'\"$]+( [^\s,'\"$]+)*")


def choose(text: str, known: Collection[str]) -> tuple[list[str], list[str]]:
    """Returns the texts of `known` that a list names, and the words of the list that name none."""
    known = dict.fromkeys(known)
    stripped: dict[str, list[str]] = {}
    for name in known:
        stripped.setdefault(name.strip(), []).append(name)

    words = split(text)
    if text in known and len(words) > 1 and not all(_one(w, known, stripped) for w in words):
        return [text], []

    found, unknown = [], []
    at = 0
    while at < len(words):
        # The shortest run of words that is a name: a name may have a comma in it.
        for end in range(at + 1, len(words) + 1):
            if name := _one(",".join(words[at:end]), known, stripped):
                found.append(name)
                at = end
                break
        else:
            if words[at].strip():
                unknown.append(words[at].strip())
            at += 1
    return found, unknown


def split(text: str) -> list[str]:
    """The words of a list, without their quotes and with the blanks around them."""
    words, at = [], 0
    while at < len(text):
        match = WORD.match(text, at)
        quoted = match["quoted"]
        words.append(match["plain"] if quoted is None else quoted.replace('""', '"'))
        at = match.end()
    return words


def _one(word: str, known: dict[str, None], stripped: dict[str, list[str]]) -> str | None:
    if not word.strip():
        return word if word in known and word else None
    if word in known:
        return word
    if word.strip() in known:
        return word.strip()
    # A published table may have a blank before each name, which nobody sees.
    alike = stripped.get(word.strip(), [])
    return alike[0] if len(alike) == 1 else None


def shown(name: str) -> str:
    """A name as it can be given in a list: in quotes, if it could be misread without them."""
    if SIMPLE.fullmatch(name):
        return name
    return '"' + name.replace('"', '""') + '"'


def joined(names: Iterable[str]) -> str:
    """Names as one word for a shell."""
    return shlex.quote(",".join(shown(name) for name in names))
