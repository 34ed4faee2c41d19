"""Columns that give the outcome away: the target under another name, or what came after it."""

import numpy as np

from .names import joined, shown
from .values import Profile

# With fewer rows of a class, it may be chance that a value has only rows of one class.
LEAST_CLASS_ROWS = 10
# A value needs so many rows on average, if there are more values than these.
FEW_VALUES = 10
LEAST_ROWS_PER_VALUE = 10
# A single column of credit data stays well below this AUC.
SUSPICIOUS_AUC = 0.95


def reason(column: Profile, bad: np.ndarray) -> str | None:
    """How the column gives the target away, if it does so in every row."""
    if min(np.count_nonzero(bad == 0), np.count_nonzero(bad == 1)) < LEAST_CLASS_ROWS:
        return None

    different = len(column.counts)
    few = different <= max(FEW_VALUES, column.rows // LEAST_ROWS_PER_VALUE)
    if few and different > 1:
        pairs = set(zip(column.values.tolist(), bad.tolist(), strict=True))
        if len(pairs) == different:
            return f"each of its {different} values has only good or only bad rows"

    if not column.numeric or len(column.numbers) < 2:
        return None
    return _reason_for_numbers(column.floats, bad)


def _reason_for_numbers(numbers: np.ndarray, bad: np.ndarray) -> str | None:
    """A number that is known for one class only, or one number that separates the classes."""
    known = ~np.isnan(numbers)
    for label, name in ((0, "good"), (1, "bad")):
        if known.any() and not known.all() and np.array_equal(known, bad == label):
            return f"it is known in every {name} row, and in no other"

    one, other = numbers[known & (bad == 0)], numbers[known & (bad == 1)]
    if min(len(one), len(other)) < LEAST_CLASS_ROWS or not known.all():
        return None
    if one.max() < other.min() or other.max() < one.min():
        return "one threshold separates all good rows from all bad rows"
    return None


def suspicion(column: Profile, bad: np.ndarray) -> str | None:
    """A notice about a column that almost gives the outcome away."""
    if min(np.count_nonzero(bad == 0), np.count_nonzero(bad == 1)) < LEAST_CLASS_ROWS:
        return None
    if column.numeric and column.numbers:
        order = column.floats
    elif len(column.counts) <= column.rows // LEAST_ROWS_PER_VALUE:
        totals: dict[str, list[int]] = {}
        for text, label in zip(column.values.tolist(), bad.tolist(), strict=True):
            rows = totals.setdefault(text, [0, 0])
            rows[0] += label
            rows[1] += 1
        rates = {text: count / rows for text, (count, rows) in totals.items()}
        order = np.array([rates[text] for text in column.values.tolist()])
    else:
        return None

    auc = _auc(order, bad)
    if auc is None or auc < SUSPICIOUS_AUC:
        return None
    return (
        f"{shown(column.name)} alone separates good from bad rows with an AUC of {auc:.3f}, which"
        " is too good for credit data. If it is known only after the outcome, leave it out:"
        f" --exclude {joined([column.name])}."
    )


def _auc(order: np.ndarray, bad: np.ndarray) -> float | None:
    """The AUC of one column, whichever of its ends is the bad one. Missing values count apart."""
    known = ~np.isnan(order)
    order, bad = order[known], bad[known]
    positives = int(np.count_nonzero(bad))
    negatives = len(bad) - positives
    if min(positives, negatives) < LEAST_CLASS_ROWS or len(bad) * 2 < len(known):
        return None
    _, inverse, counts = np.unique(order, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    area = (ranks[bad == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return float(max(area, 1 - area))
