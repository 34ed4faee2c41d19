"""How one field of a column is read: as a number, as a missing value, or as another text.

The loader of customers reads fields by the same rules. tests/csv_values.json has the cases of both.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from . import spelling

# What programs write for a missing number, in lower case: R, pandas, SQL, SAS, Weka, spreadsheets.
# A column of categories keeps these texts as they are.
MISSING = frozenset(
    {
        "",
        "-",
        "--",
        "---",
        ".",
        "..",
        "...",
        "?",
        "??",
        "#n/a",
        "#n/a n/a",
        "#na",
        "#null!",
        "n/a",
        "n.a.",
        "n.a",
        "na",
        "n/d",
        "nan",
        "-nan",
        "+nan",
        "1.#qnan",
        "-1.#qnan",
        "1.#ind",
        "-1.#ind",
        "<na>",
        "<nan>",
        "nat",
        "none",
        "<none>",
        "null",
        "<null>",
        "(null)",
        "[null]",
        "nil",
        "\\n",
    }
)


def is_missing(text: str) -> bool:
    """Whether a field of a column of numbers is a missing value."""
    return text.strip().lower() in MISSING


def as_number(text: str) -> float | None:
    """The number that a field is; None if it is not one. It may be infinite, and is never NaN."""
    # float() also accepts underscores and digits of other scripts, which the database refuses.
    if "_" in text or not text.isascii():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number


@dataclass(frozen=True)
class Profile:
    """The values of a column, and their different texts by what they are, with their rows."""

    name: str
    values: np.ndarray
    # Fields of no characters.
    empty: int = 0
    numbers: dict[str, float] = field(default_factory=dict)
    # Texts that stand for a missing number.
    missing: Counter = field(default_factory=Counter)
    # Numbers written for people: "1,234", "12 %", "$5".
    written: Counter = field(default_factory=Counter)
    words: Counter = field(default_factory=Counter)
    counts: Counter = field(default_factory=Counter)

    @property
    def numeric(self) -> bool:
        """Whether the column is read as numbers, unless --categorical names it."""
        if self.words or self.written:
            return False
        return bool(self.numbers) or all(as_nan(text) for text in self.missing)

    @property
    def filled(self) -> int:
        """The number of rows with a text that does not stand for a missing value."""
        return self.rows - self.empty - sum(self.missing.values())

    def rows_of(self, texts: dict) -> int:
        return sum(self.counts[text] for text in texts)

    @property
    def rows(self) -> int:
        return len(self.values)

    @cached_property
    def floats(self) -> np.ndarray:
        """The values of a numeric column, NaN where missing. Nobody may change the array."""
        number = {text: self.numbers.get(text, math.nan) for text in self.counts}
        floats = np.array([number[text] for text in self.values.tolist()])
        floats.flags.writeable = False
        return floats


def as_nan(text: str) -> bool:
    return text.strip().lower().lstrip("+-") == "nan"


def profile(name: str, values: np.ndarray) -> Profile:
    """Sorts the texts of a column by what they are."""
    counts = Counter(values.tolist())
    found = Profile(name, values, empty=counts.get("", 0), counts=counts)
    for text, rows in counts.items():
        if text == "":
            continue
        number = as_number(text)
        if number is not None:
            found.numbers[text] = number
        elif is_missing(text):
            found.missing[text] = rows
        elif spelling.plain(text):
            found.written[text] = rows
        else:
            found.words[text] = rows
    return found
