"""Compares the page of a run with the Parquet files of the same run, as DuckDB reads them.

    python tests/parquet/compare_report.py DIRECTORY MINIMUM_SCORE

The directory has `report.html`, the manifest of the model as `manifest.json`, and the files of the
four stages as `<stage>-<number>.parquet`. Everything is counted again from the rows, so the
counters of the functions have no part in it. The bins are the model's. The figures are read from
the tables of the page, which have each figure that is drawn.
"""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import numpy as np
from scipy import stats

# The names of the four last bins of an input.
WITHOUT_BIN = ("other", "missing", "unseen")
SCORE_BAND = 20
LIMIT_BANDS = [0, 100, 200, 500, 1_000, 2_000, 5_000, 10_000]


class Tables(HTMLParser):
    """The tables of a page by caption: the cells of each row, the first one as a key."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, dict[str, list[str]]] = {}
        self.text: list[str] | None = None
        self.caption = ""
        self.row: list[str] = []
        self.in_body = False
        self.feed(page)

    def handle_starttag(self, tag: str, _attributes: list) -> None:
        if tag in ("caption", "th", "td"):
            self.text = []
        elif tag == "tr":
            self.row = []
        elif tag == "tbody":
            self.in_body = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self.caption = "".join(self.text)
            self.tables[self.caption] = {}
        elif tag in ("th", "td"):
            self.row.append("".join(self.text))
        elif tag == "tr" and self.in_body:
            self.tables[self.caption][self.row[0]] = self.row[1:]
        elif tag == "tbody":
            self.in_body = False
        if tag in ("caption", "th", "td"):
            self.text = None

    def handle_data(self, data: str) -> None:
        if self.text is not None:
            self.text.append(data)


class Comparison:
    def __init__(self, directory: Path) -> None:
        self.tables = Tables((directory / "report.html").read_text()).tables
        self.manifest = json.loads((directory / "manifest.json").read_text())
        self.database = duckdb.connect()
        for stage in ("customers", "scored_customers", "evaluations", "results"):
            self.database.execute(
                f"CREATE VIEW {stage} AS"
                f" SELECT * FROM read_parquet('{directory}/{stage}-*.parquet')"
            )
        self.database.execute(
            "CREATE TABLE decided AS SELECT e.*, r.effect FROM evaluations e"
            " JOIN results r USING (customer_id)"
        )
        self.compared = 0

    def rows(self, query: str) -> list[tuple]:
        return self.database.execute(query).fetchall()

    def equal(self, caption: str, row: str, column: int, expected: str) -> None:
        found = self.tables[caption][row][column]
        assert found == expected, f"{caption}, {row}, {column}: {found!r}, DuckDB {expected!r}"
        self.compared += 1

    def everything(self) -> None:
        self.waterfall()
        self.bands("By current limit", LIMIT, "current_limit")
        minimum = int(self.tables["policy"]["minimum"][0])
        self.bands("By new score", score_band(minimum), "new_score")
        self.declines(minimum)
        self.scores()
        self.drift()

    def waterfall(self) -> None:
        caption = "From the undecided to the decided"
        (eligible,) = self.rows("SELECT count(*) FROM customers")[0]
        self.equal(caption, "Eligible: taken by the run", 0, count(eligible))
        for outcome in ("Approved", "Declined", "Referred"):
            (number,) = self.rows(
                f"SELECT count(*) FROM decided WHERE decision = '{outcome.upper()}'"
                " AND effect <> 'STALE'"
            )[0]
            self.equal(caption, outcome, 0, count(number))
            self.equal(caption, outcome, 1, per_cent(number / eligible))
        (stale,) = self.rows("SELECT count(*) FROM decided WHERE effect = 'STALE'")[0]
        self.equal(caption, "Stale", 0, count(stale))

    def bands(self, caption: str, band: str, known: str) -> None:
        rows = self.rows(
            f"SELECT {band} AS band,"
            " count(*) FILTER (WHERE decision = 'APPROVED' AND effect <> 'STALE'),"
            " count(*) FILTER (WHERE decision = 'DECLINED' AND effect <> 'STALE'),"
            " count(*) FILTER (WHERE decision = 'REFERRED' AND effect <> 'STALE'),"
            " count(*) FILTER (WHERE effect = 'STALE'),"
            " coalesce(sum(new_limit - current_limit) FILTER (WHERE effect <> 'STALE'), 0)"
            f" FROM decided WHERE {known} IS NOT NULL GROUP BY band"
        )
        assert rows, caption
        for label, *counts, increase in rows:
            for column, number in enumerate(counts):
                self.equal(caption, label, column, count(number))
            self.equal(caption, label, 4, f"{increase:,.2f}")
        without = self.rows(f"SELECT count(*) FROM decided WHERE {known} IS NULL")[0][0]
        assert len(self.tables[caption]) == len(rows) + (without > 0), caption

    def declines(self, minimum: int) -> None:
        """The driver is the input with the largest SHAP value."""
        columns = [row[0] for row in self.rows("DESCRIBE scored_customers")]
        shap = [name for name in columns if name.startswith("shap_")]
        drivers = self.rows(
            "WITH largest AS (SELECT customer_id, arg_max(input, value) AS input FROM"
            f" (UNPIVOT scored_customers ON {', '.join(shap)} INTO NAME input VALUE value)"
            " GROUP BY customer_id)"
            " SELECT input, count(*) FROM decided JOIN largest USING (customer_id)"
            " WHERE decision = 'DECLINED' AND effect <> 'STALE'"
            f" AND new_score < {minimum} GROUP BY input"
        )
        caption = "What drove the declines"
        for name, number in drivers:
            self.equal(caption, name.removeprefix("shap_"), 0, count(number))
        (rest,) = self.rows(
            "SELECT count(*) FROM decided WHERE decision = 'DECLINED' AND effect <> 'STALE'"
            f" AND new_score >= {minimum}"
        )[0]
        if rest:
            self.equal(caption, "no higher limit by the policy", 0, count(rest))
        assert len(self.tables[caption]) == len(drivers) + (rest > 0)

    def scores(self) -> None:
        described = self.manifest["profile"]["scores"]
        bounds, training = described["bins"]["bounds"], described["rows"]["bins"]
        scores = [row[0] for row in self.rows("SELECT new_score FROM scored_customers")]
        known = np.array([score for score in scores if score is not None])
        own = np.bincount(np.searchsorted(bounds, known, side="right"), minlength=len(training))
        caption = "Customers by score"
        rows = list(self.tables[caption])
        for bin_number in range(len(training)):
            row = rows[bin_number]
            self.equal(caption, row, 0, count(own[bin_number]))
            self.equal(caption, row, 1, per_cent(own[bin_number] / len(known)))
            self.equal(caption, row, 2, per_cent(training[bin_number] / sum(training)))
        self.equal(caption, "no score", 0, count(len(scores) - len(known)))

    def drift(self) -> None:
        inputs = self.manifest["profile"]["inputs"]
        for described in inputs:
            name, values = described["source_column"], described["values"]
            column = [
                row[0]
                for row in self.rows(f'SELECT "feature_{name}" FROM customers WHERE has_features')
            ]
            own, training = tally(column, values), reference(values["rows"])
            index, limit = stability(own, training, 0.004 / len(inputs))
            caption = "Drift of each input"
            self.equal(caption, name, 0, shown_index(index))
            self.equal(caption, name, 1, shown_index(limit))
            self.equal(caption, name, 2, f"{index / max(limit, IMMATERIAL):.2f}")
            self.equal(caption, name, 3, per_cent(own[-2] / sum(own)))
            self.equal(caption, name, 4, per_cent(training[-2] / sum(training)))
            self.equal(caption, name, 5, per_cent(own[-1] / sum(own)))
        assert len(self.tables["Drift of each input"]) == len(inputs)


# A smaller index is no drift, whatever the number of customers.
IMMATERIAL = 0.02

LIMIT = (
    "CASE "
    + " ".join(
        f"WHEN current_limit < {end} THEN '{start:,} to below {end:,}'"
        for start, end in zip(LIMIT_BANDS, LIMIT_BANDS[1:], strict=False)
    )
    + " END"
)


def score_band(minimum: int) -> str:
    step = f"greatest(-10, least(9, floor((new_score - {minimum}) / {SCORE_BAND})))"
    lower = f"({minimum} + {SCORE_BAND} * {step})::int"
    upper = f"({lower} + {SCORE_BAND - 1})"
    return (
        f"CASE {step} WHEN -10 THEN {upper} || ' or less' WHEN 9 THEN {lower} || ' or more'"
        f" ELSE {lower} || ' to ' || {upper} END"
    )


def tally(column: list, values: dict) -> list[int]:
    """The counts of each bin, then of other, missing and unseen values."""
    bins = values["bins"]
    if "bounds" in bins:
        numbers = np.array([np.nan if one is None else one for one in column], dtype=np.float32)
        known = numbers[~np.isnan(numbers)]
        bounds = np.array(bins["bounds"], dtype=np.float32)
        places = np.searchsorted(bounds, known, side="right")
        counts = np.bincount(places, minlength=len(bounds) + 1).tolist()
        return [*counts, 0, int(np.isnan(numbers).sum()), 0]
    counts = [column.count(category) for category in bins["categories"]]
    missing = column.count(None)
    # The model of the test has a bin for each of its categories.
    return [*counts, 0, missing, len(column) - sum(counts) - missing]


def reference(rows: dict) -> list[int]:
    return [*rows["bins"], *(rows.get(name, 0) for name in WITHOUT_BIN)]


def stability(own: list[int], training: list[int], false_alarms: float) -> tuple[float, float]:
    """The index, and what it exceeds without drift on such a share of nights."""
    pairs = [(a, e) for a, e in zip(own, training, strict=True) if a + e > 0]
    a, e = (
        np.array([one or 0.9 for one in side], dtype=float) for side in zip(*pairs, strict=True)
    )
    a, e = a / a.sum(), e / e.sum()
    bins, n = sum(rows > 0 for rows in training), sum(own)
    margin = 1 + min(4 * bins / n, 0.25)
    limit = (1 / n + 1 / sum(training)) * stats.chi2.ppf(1 - false_alarms, bins - 1) * margin
    return float(((a - e) * np.log(a / e)).sum()), float(limit)


def count(number: int) -> str:
    return f"{number:,}"


def per_cent(share: float) -> str:
    return f"{share * 100:.1f} %"


def shown_index(value: float) -> str:
    return f"{value:.5f}" if value < 0.01 else f"{value:.3f}"


def main() -> None:
    directory = Path(sys.argv[1])
    comparison = Comparison(directory)
    comparison.tables["policy"] = {"minimum": [sys.argv[2]]}
    comparison.everything()
    print(comparison.compared, "figures are equal")


main()
