"""Dates, months, quarters and times in the spellings that files have.

A model cannot use them: it has seen each of them once, and next month's is one that it never saw.
"""

import re
from collections import Counter
from collections.abc import Callable

from .values import Profile
from .words import words_of

# A few fields may be something else, such as a wrong date. Below this share it is no date column.
LEAST_SHARE = 0.95
FIRST_YEAR, LAST_YEAR = 1800, 2199
FIRST = 50
# Placeholders for "no date" and "no end" that stand among dates that are written as numbers.
OPEN_DATE = re.compile(r"0+|9+|9999-?12(-?31)?|-\d+")
# A column with one of these words in its name may hold dates in forms that could be numbers.
DATE_WORDS = {
    "at",
    "birthday",
    "created",
    "d",
    "date",
    "dated",
    "dates",
    "datetime",
    "datum",
    "dob",
    "dt",
    "fecha",
    "month",
    "mth",
    "on",
    "opened",
    "period",
    "time",
    "timestamp",
    "ts",
    "updated",
}
# English, then what German, French, Spanish, Portuguese, Italian and Dutch write differently.
MONTHS = frozenset(
    """
    jan feb mar apr may jun jul aug sep sept oct nov dec
    january february march april june july august september october november december
    januar februar märz mrz mär mai juni juli oktober okt dezember dez jänner
    janvier janv février févr fév mars avril avr juin juillet juil août septembre octobre novembre
    décembre déc
    enero ene febrero marzo abril abr mayo junio julio agosto ago septiembre octubre noviembre
    diciembre dic
    janeiro fevereiro fev março maio junho julho setembro set outubro out novembro dezembro
    gennaio gen febbraio aprile maggio mag giugno giu luglio lug settembre ottobre ott dicembre
    januari februari maart mrt mei augustus
    """.split()  # noqa: SIM905
)
WORD = r"(?P<month>[^\W\d_]{3,10})\.?"
YEAR = r"(?P<year>\d{4})"
NUMBER = r"(?P<number>\d{1,2})"
SEPARATOR = r"[-/. ,'_]*"
WEEKDAY = r"(?:[^\W\d_]{2,10}\.?,?\s+)?"
CLOCK = r"\d{1,2}[:.]\d{2}(?:[:.]\d{2}(?:[.,]\d+)?)?\s*(?:[ap]\.?m\.?)?"
TIME = rf"(?:(?:[T:,]|\s)\s*{CLOCK}\s*(?:Z|[A-Z]{{2,5}}|(?:UTC|GMT)?[+-]\d{{2}}:?\d{{2}})?)?"

DAYS = [
    r"\d{4}-\d{2}-\d{2}(?:[T ].*)?",
    rf"\d{{4}}[-/.]\d{{1,2}}[-/.]\d{{1,2}}{TIME}",
    rf"{WEEKDAY}\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:\d{{4}}|\d{{2}}){TIME}",
    rf"{WEEKDAY}\d{{1,2}}(?:st|nd|rd|th|\.)?{SEPARATOR}(?:of |de )?{WORD}{SEPARATOR}(?:de )?"
    rf"(?:\d{{4}}|\d{{2}}){TIME}",
    rf"{WEEKDAY}{WORD}{SEPARATOR}\d{{1,2}}(?:st|nd|rd|th)?(?:,\s*|[-/. ]+)(?:\d{{4}}|\d{{2}})"
    rf"{TIME}",
    rf"(?:\d{{4}}|\d{{2}}){SEPARATOR}{WORD}{SEPARATOR}\d{{1,2}}{TIME}",
    # As C's ctime and the program `date` write it.
    rf"{WEEKDAY}{WORD}\s+\d{{1,2}}\s+{CLOCK}(?:\s+[A-Z]{{2,5}})?\s+\d{{4}}",
    r"\d{8}[T ]\d{4,6}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?",
]
MONTHS_AND_QUARTERS = [
    rf"{YEAR}[-/. ]{NUMBER}",
    rf"{YEAR}[-/ ]?M{NUMBER}",
    rf"{NUMBER}[-/. ]{YEAR}",
    rf"{WORD}{SEPARATOR}(?:\d{{4}}|\d{{2}})",
    rf"(?:\d{{4}}|\d{{2}}){SEPARATOR}{WORD}",
    r"\d{4}[-/. ]?[QTH][1-4]",
    r"[QTH][1-4][-/. ']*(?:\d{4}|\d{2})",
    r"[1-4][QTH][-/. ']*(?:\d{4}|\d{2})",
    r"\d{4}[-/ ]?[WK]W?\d{1,2}(?:-\d)?",
    r"[CK]?W[ -]?\d{1,2}[-/. ]\d{4}",
    r"(?:19|20)\d{2}[-/](?:\d{2}|(?:19|20)\d{2})",
    r"FY[ -]?'?(?:\d{4}|\d{2})(?:[-/]\d{2,4})?(?:[ -]?Q[1-4])?",
]
TIMES = [r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:[ap]\.?m\.?)?"]
FORMS = [
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, patterns in (
        ("dates", DAYS),
        ("months or quarters", MONTHS_AND_QUARTERS),
        ("times of day", TIMES),
    )
    for pattern in patterns
]
# Day and month in a short form, which only the column's name makes a date.
SHORT = re.compile(r"\d{1,2}[-/.]\d{1,2}(?:[-/.]\d{2})?")


def kind_of(column: Profile) -> str | None:
    """What a column holds, if that is dates: "dates", "months or quarters" or "times of day"."""
    if not column.filled:
        return None
    if column.words or column.written:
        return _kind_of_texts(column)
    return _kind_of_numbers(column)


def _kind_of_texts(column: Profile) -> str | None:
    texts = column.words + column.written
    if len(texts) > 1 and all(text.strip(" .").lower() in MONTHS for text in texts):
        return "months" if not column.numbers else None

    named = _named_as_date(column.name)
    kinds: Counter = Counter()
    for text, rows in column.counts.items():
        if kind := _kind_of_text(text, named):
            kinds[kind] += rows
    if sum(kinds.values()) < LEAST_SHARE * column.filled:
        return None
    return kinds.most_common(1)[0][0]


def _kind_of_text(text: str, named: bool) -> str | None:
    text = text.strip()
    for kind, form in FORMS:
        match = form.fullmatch(text)
        if match and _is_possible(match):
            return kind
    return "dates" if named and SHORT.fullmatch(text) else None


def _is_possible(match: re.Match) -> bool:
    parts = match.groupdict()
    if (month := parts.get("month")) is not None:
        return month.lower() in MONTHS
    if (year := parts.get("year")) is not None:
        return FIRST_YEAR <= int(year) <= LAST_YEAR and 1 <= int(parts["number"]) <= 12
    return True


def _kind_of_numbers(column: Profile) -> str | None:
    """Dates that are written as numbers: all of them have to be possible."""
    known = [text for text in column.numbers if not OPEN_DATE.fullmatch(text)]
    if len(known) < 2:
        return None
    named = _named_as_date(column.name)
    # Most columns are no dates by their first values.
    for part in (known[:FIRST], known):
        kind = _kind_of_all(column, part, named)
        if kind is None:
            return None
    return kind


def _kind_of_all(column: Profile, texts: list[str], named: bool) -> str | None:
    digits = [_whole(column.numbers[text]) for text in texts]
    for kind, possible, needs_name in NUMBERS:
        if (named or not needs_name) and all(text and possible(text) for text in digits):
            return kind
    return "months or quarters" if all(map(_is_month_with_point, texts)) else None


def _whole(number: float) -> str | None:
    return f"{number:.0f}" if float(number).is_integer() and number > 0 else None


def _is_day(text: str) -> bool:
    if len(text) not in (8, 12, 14):
        return False
    clock = text[8:]
    if clock and (int(clock[:2]) > 23 or int(clock[2:4]) > 59):
        return False
    return _exists(int(text[:4]), int(text[4:6]), int(text[6:8]))


def _is_day_first(text: str) -> bool:
    text = text.zfill(8)
    return len(text) == 8 and (
        _exists(int(text[4:]), int(text[2:4]), int(text[:2]))
        or _exists(int(text[4:]), int(text[:2]), int(text[2:4]))
    )


def _is_short_day(text: str) -> bool:
    text = text.zfill(6)
    return len(text) == 6 and (
        _exists(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
        or _exists(2000 + int(text[4:]), int(text[2:4]), int(text[:2]))
        or _exists(2000 + int(text[4:]), int(text[:2]), int(text[2:4]))
    )


def _is_month(text: str) -> bool:
    return len(text) == 6 and _exists(int(text[:4]), int(text[4:]), 1)


def _is_day_of_year(text: str) -> bool:
    return len(text) == 7 and _exists(int(text[:4]), 1, 1) and 1 <= int(text[4:]) <= 366


def _is_moment(text: str) -> bool:
    """Seconds or milliseconds since 1970, from 1980 to 2100."""
    return any(315_532_800 * unit <= int(text) <= 4_102_444_800 * unit for unit in (1, 1_000))


def _is_serial_day(text: str) -> bool:
    """Days since 1900, as a spreadsheet stores them, from 1955 to 2119."""
    return 20_000 <= int(text) <= 80_000


def _exists(year: int, month: int, day: int) -> bool:
    # The 31st of April is a day too: anonymised files have such.
    return 1900 <= year <= 2100 and 1 <= month <= 12 and 1 <= day <= 31


# Forms of numbers, and whether the column's name has to say that they are dates.
NUMBERS: list[tuple[str, Callable[[str], bool], bool]] = [
    ("dates", _is_day, False),
    ("months or quarters", _is_month, False),
    ("dates", _is_day_of_year, True),
    ("dates", _is_day_first, True),
    ("dates", _is_short_day, True),
    ("dates", _is_moment, True),
    ("dates", _is_serial_day, True),
]
MONTH_WITH_POINT = re.compile(
    r"(?:19|20)\d{2}\.(?:0[1-9]|1[0-2])|(?:0[1-9]|1[0-2])\.(?:19|20)\d{2}"
)


def _is_month_with_point(text: str) -> bool:
    return MONTH_WITH_POINT.fullmatch(text.strip()) is not None


def _named_as_date(name: str) -> bool:
    return not DATE_WORDS.isdisjoint(words_of(name))
