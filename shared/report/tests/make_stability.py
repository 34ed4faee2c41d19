"""Makes stability.json: counts of real tables, with the stability index as two libraries give it.

    pip install scorecardpy optbinning
    cd shared/report/tests
    python make_stability.py TABLE.csv.gz .. > stability.json

Of each table the first seven rows of ten are the training rows and the others the customers. A
second case of each column keeps 20 customers, which leaves bins empty: scorecardpy counts those as
0.9 rows, and optbinning gives no number then.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from optbinning.binning.metrics import jeffrey

warnings.simplefilter("ignore")
BINS = 9


def bins_of(column: pd.Series, training: pd.Series) -> tuple[int, pd.Series]:
    """The number of bins, and the bin of each row. The last one is of missing values."""
    if pd.api.types.is_numeric_dtype(column):
        known = training.dropna()
        bounds = sorted(set(np.quantile(known, np.arange(1, BINS) / BINS, method="inverted_cdf")))
        bounds = [bound for bound in bounds if bound > known.min()]
        place = pd.Series(np.searchsorted(bounds, column, side="right"), index=column.index)
        count = len(bounds) + 1
    else:
        categories = list(training.value_counts().index[: BINS - 1])
        place = column.map({category: at for at, category in enumerate(categories)})
        place = place.fillna(len(categories)).astype(int)
        count = len(categories) + 1
    place[column.isna()] = count
    return count + 1, place


def by_scorecardpy(customers: pd.Series, training: pd.Series) -> float:
    import matplotlib

    matplotlib.use("Agg")
    import scorecardpy

    frames = {"actual": customers, "expect": training}
    score = {name: pd.DataFrame({"score": rows.to_numpy()}) for name, rows in frames.items()}
    # The labels change no index, but without them the function fails.
    labels = {name: pd.Series(np.arange(len(rows)) % 2) for name, rows in frames.items()}
    result = scorecardpy.perf_psi(score=score, label=labels, show_plot=False)
    return float(result["psi"]["PSI"].iloc[0])


def main() -> None:
    cases = []
    for path in sys.argv[1:]:
        table = pd.read_csv(path)
        cut = len(table) * 7 // 10
        for name in table.columns:
            count, place = bins_of(table[name], table[name][:cut])
            for people in (len(table) - cut, 20):
                training, customers = place[:cut], place[cut : cut + people]
                expected = np.bincount(training, minlength=count)
                actual = np.bincount(customers, minlength=count)
                used = (expected > 0) | (actual > 0)
                if used.sum() < 2:
                    continue
                case = {
                    "table": Path(path).name.partition(".")[0],
                    "column": name,
                    "training": expected.tolist(),
                    "customers": actual.tolist(),
                    "scorecardpy": by_scorecardpy(customers, training),
                }
                a, e = actual[used] / actual.sum(), expected[used] / expected.sum()
                if (a > 0).all() and (e > 0).all():
                    case["optbinning"] = float(jeffrey(a, e, return_sum=True))
                cases.append(case)
    lines = ",\n ".join(json.dumps(case) for case in cases)
    print(f"[{lines}]")


main()
