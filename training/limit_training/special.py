"""Special values: codes in a column of numbers that say why there is no number.

A bureau sends -9 for "no record". As a number it would be a very low value. With --special it is a
missing value with a meaning, and it counts in no median.
"""

from dataclasses import dataclass, field

import numpy as np

from .errors import usage_error
from .names import choose, shown
from .values import Profile, as_number

EVERY_COLUMN = "*"
MAX_VALUES = 32
MAX_MEANING = 80
# So many different codes, each in so many rows, are codes and no measurements.
MOST_CODES = 8
LEAST_ROWS = 3
# The codes are as far from the other values as so many steps between these.
LEAST_GAP_STEPS = 5
# A single negative value is a code if it is in such a share of the rows, beside so many others.
LEAST_SHARE = 0.01
LEAST_OTHERS = 20
LEAST_HIGH_CODE = 96
LISTED = 4


@dataclass(frozen=True)
class Specials:
    """The special values of each column, with their meanings."""

    by_column: dict[str, dict[float, str]] = field(default_factory=dict)
    everywhere: dict[float, str] = field(default_factory=dict)

    def of(self, column: Profile) -> dict[float, str]:
        """The special values of a column of numbers, the smallest first.

        Those of every column count where the column has one of them. The others of them may come
        up at night, as those that are given for the column itself.
        """
        own = self.by_column.get(column.name, {})
        if any(number in self.everywhere for number in column.numbers.values()):
            own = {**self.everywhere, **own}
        return dict(sorted(own.items()))


def parse(texts: list[str], columns: list[str]) -> Specials:
    """Reads the options --special COL=V:meaning,V:meaning; * stands for every column of numbers."""
    by_column: dict[str, dict[float, str]] = {}
    everywhere: dict[float, str] = {}
    for text in texts:
        name, values = _column_of(text, columns)
        target = everywhere if name == EVERY_COLUMN else by_column.setdefault(name, {})
        for pair in values.split(","):
            number, meaning = _pair(text, pair)
            if target.setdefault(number, meaning) != meaning:
                raise usage_error(
                    f"--special {text!r} gives {number:g} two meanings", "give it one"
                )
        if len(target) > MAX_VALUES:
            raise usage_error(
                f"--special {name} has more than {MAX_VALUES} values", "give only codes"
            )
    return Specials(by_column, everywhere)


def _column_of(text: str, columns: list[str]) -> tuple[str, str]:
    # A name may have an equals sign in it, so the last one that leaves a column's name counts.
    for at in range(len(text) - 1, 0, -1):
        if text[at] != "=":
            continue
        name, values = text[:at], text[at + 1 :]
        if name.strip() == EVERY_COLUMN:
            return EVERY_COLUMN, values
        found, unknown = choose(name, columns)
        if len(found) == 1 and not unknown:
            return found[0], values
    raise usage_error(
        f"--special {text!r} does not begin with a column of the file and an equals sign",
        "write COLUMN=VALUE:meaning,VALUE:meaning, for example"
        " --special 'score=-9:no bureau record,-8:no usable record'; * is every column of numbers",
    )


def _pair(text: str, pair: str) -> tuple[float, str]:
    value, colon, meaning = pair.partition(":")
    number = as_number(value.strip())
    meaning = meaning.strip()
    if number is None or not np.isfinite(np.float32(number)) or not colon or not meaning:
        raise usage_error(
            f"--special {text!r}: {pair!r} is not VALUE:meaning",
            "give each code with its meaning, for example -9:no bureau record",
        )
    if len(meaning) > MAX_MEANING or any(ord(letter) < 32 for letter in meaning):
        raise usage_error(
            f"--special {text!r}: the meaning is longer than {MAX_MEANING} characters",
            "customers read it: give a few words",
        )
    # Adding zero makes zero of minus zero.
    return number + 0.0, meaning


def suspicion(column: Profile, known: dict[float, str]) -> str | None:
    """A notice about whole codes that stand apart from the other values."""
    codes = codes_of(column, set(known))
    if not codes:
        return None
    listed = ", ".join(f"{code:.0f} ({rows:,} rows)" for code, rows in list(codes.items())[:LISTED])
    more = "" if len(codes) <= LISTED else f" and {len(codes) - LISTED} more"
    example = ",".join(f"{code:.0f}:why" for code in list(codes)[:LISTED])
    return (
        f"{shown(column.name)} has {listed}{more}, which stand apart from its other values. If they"
        " are codes, say what they mean, because otherwise they are read as numbers, and reasons"
        f" call them low or high: --special '{shown(column.name)}={example}'."
    )


def codes_of(column: Profile, known: set[float]) -> dict[float, int]:
    """The whole values that look like codes, with their rows, the most frequent first.

    They are negative, or a run of nines far above the other values (999, 9999998).
    """
    if not column.numbers:
        return {}
    least, most = min(column.numbers.values()), max(column.numbers.values())
    if not (least < 0 and least.is_integer()) and not _is_customary(-most):
        return {}
    rows: dict[float, int] = {}
    for text, number in column.numbers.items():
        if number not in known:
            rows[number] = rows.get(number, 0) + column.counts[text]
    numbers = sorted(rows)
    best: list[float] = []
    for count in range(1, min(MOST_CODES, len(numbers) - 1) + 1):
        lowest, rest = numbers[:count], numbers[count:]
        if lowest[-1] >= 0 or not lowest[-1].is_integer():
            break
        frequent = max(rows[code] for code in lowest) >= LEAST_ROWS
        if frequent and (_stands_apart(lowest, rest) or _is_alone(lowest, rest, rows)):
            best = lowest
    codes = {code: rows[code] for code in [*best, *_high_codes(numbers[len(best) :], rows)]}
    return dict(sorted(codes.items(), key=lambda pair: (-pair[1], pair[0])))


def _high_codes(numbers: list[float], rows: dict[float, int]) -> list[float]:
    """The values at the upper end that are written with nines and far from all others."""
    count = 0
    while count < min(MOST_CODES, len(numbers) - 1):
        code = numbers[-1 - count]
        if code < LEAST_HIGH_CODE or not code.is_integer() or not _is_customary(-code):
            break
        count += 1
    codes, others = numbers[len(numbers) - count :], numbers[: len(numbers) - count]
    far = bool(codes) and codes[0] >= 2 * max(others[-1], 1.0)
    frequent = bool(codes) and max(rows[code] for code in codes) >= LEAST_ROWS
    return codes if far and frequent and _are_whole(others) else []


def _are_whole(numbers: list[float]) -> bool:
    return all(number.is_integer() for number in numbers)


def _stands_apart(codes: list[float], others: list[float]) -> bool:
    gap = others[0] - codes[-1]
    if others[0] < 0:
        # Below a column that has negative values of its own, only a very far value is a code.
        return gap > 2 * (others[-1] - others[0]) and len(others) > 1
    if all(_is_customary(code) for code in codes):
        return True
    if len(others) < 2:
        return False
    step = float(np.median(np.diff(others)))
    return gap >= LEAST_GAP_STEPS * step


def _is_alone(codes: list[float], others: list[float], rows: dict[float, int]) -> bool:
    """A frequent -1 as the only negative value of a column of many values: "never", "unknown"."""
    frequent = rows[codes[0]] >= LEAST_SHARE * sum(rows.values())
    return len(codes) == 1 and others[0] >= 0 and len(others) >= LEAST_OTHERS and frequent


def _is_customary(code: float) -> bool:
    """-7 to -9, -97 to -99, -9999998: what bureaus and surveys use."""
    digits = f"{-code:.0f}"
    return digits[-1] in "6789" and set(digits[:-1]) <= {"9"}
