"""How the training's scores and inputs are spread, for the manifest.

A nightly run counts its customers into the same bins, and compares the two. The bins follow from
the rows of the training alone.
"""

import numpy as np

from .encode import Encoded, ModelColumn

# Bins of equal size among the training rows, or fewer where many rows have one value.
NUMBER_BINS = 10
# The most frequent categories have a bin each, and the others have one together.
CATEGORY_BINS = 20
# The model's most important inputs. The bound keeps what a run counts small.
MAX_INPUTS = 200


def describe(
    encoded: Encoded, training: np.ndarray, scores: np.ndarray, importance: np.ndarray
) -> dict:
    """The manifest's profile.

    `training` is a mask of the rows for the inputs, and `importance` has a number for each model
    column. `scores` are those of rows that the model has not seen: it scores the rows that it has
    learnt from further apart than new ones, and customers are new ones.
    """
    sources = by_source(encoded.columns)
    chosen = most_important(sources, importance)
    inputs = [
        {
            "source_column": name,
            "values": distribution(encoded.columns, encoded.matrix[training], sources[name]),
        }
        for name in sources
        if name in chosen
    ]
    return {"scores": of_numbers(scores.astype(np.float32)), "inputs": inputs}


def by_source(columns: list[ModelColumn]) -> dict[str, list[int]]:
    """The model columns of each source column, in their order."""
    sources: dict[str, list[int]] = {}
    for position, column in enumerate(columns):
        sources.setdefault(column.source_column, []).append(position)
    return sources


def most_important(sources: dict[str, list[int]], importance: np.ndarray) -> set[str]:
    totals = {name: float(importance[positions].sum()) for name, positions in sources.items()}
    return set(sorted(totals, key=lambda name: -totals[name])[:MAX_INPUTS])


def distribution(columns: list[ModelColumn], matrix: np.ndarray, positions: list[int]) -> dict:
    first = columns[positions[0]]
    if first.kind == "numeric":
        return of_numbers(matrix[:, positions[0]])
    counts = {columns[at].category: int(matrix[:, at].sum()) for at in positions}
    return of_categories(counts)


def of_numbers(values: np.ndarray) -> dict:
    """Bins of numbers, from one bound to below the next. The values are in float32."""
    missing = int(np.isnan(values).sum())
    known = values[~np.isnan(values)]
    bounds = np.array([], dtype=np.float32)
    if len(known):
        shares = np.arange(1, NUMBER_BINS) / NUMBER_BINS
        # Bounds are values of the column, so no bin is empty.
        bounds = np.unique(np.quantile(known, shares, method="inverted_cdf"))
        bounds = bounds[bounds > known.min()]
    places = np.searchsorted(bounds, known, side="right")
    rows = np.bincount(places, minlength=len(bounds) + 1)
    # The shortest text of a float32 reads as the same float32.
    written = [float(str(bound)) for bound in bounds]
    return {
        "bins": {"bounds": written},
        "rows": {"bins": rows.tolist(), "missing": missing},
    }


def of_categories(counts: dict[str | None, int]) -> dict:
    """A bin for each frequent category. The counts have `None` for a missing one."""
    named = {category: rows for category, rows in counts.items() if category is not None}
    binned = sorted(named, key=lambda category: (-named[category], category))[:CATEGORY_BINS]
    return {
        "bins": {"categories": binned},
        "rows": {
            "bins": [named[category] for category in binned],
            "other": sum(named.values()) - sum(named[category] for category in binned),
            "missing": counts.get(None, 0),
        },
    }
