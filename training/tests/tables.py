"""A small table of customers, and how it is written."""

import csv
import gzip
from pathlib import Path

import numpy as np

ROWS = 600


def small_table() -> dict[str, list[str]]:
    """A table with every kind of column.

    It has a score, a number with gaps, a code that must stay text, a category with gaps, and
    columns that the trainer leaves out.
    """
    generator = np.random.default_rng(7)
    score = generator.normal(650, 60, ROWS).round()
    income = generator.exponential(30_000, ROWS).round(2)
    code = generator.choice(["01", "1", "1.0", "2"], ROWS)
    status = generator.choice(
        ["owner", "tenant", "", 'says "other", once'], ROWS, p=[0.5, 0.3, 0.1, 0.1]
    )
    log_odds = -1.5 - 0.03 * (score - 650) + (code == "01") * 1.5 + (status == "tenant") * 0.8
    bad = generator.random(ROWS) < 1 / (1 + np.exp(-log_odds))
    return {
        "customer_id": [f"CUST_{number:04}" for number in range(ROWS)],
        "opened": [f"2026-{1 + number % 12:02}-01" for number in range(ROWS)],
        "bureau_score": [f"{value:g}" for value in score],
        "income": ["" if number % 9 == 0 else f"{value}" for number, value in enumerate(income)],
        "branch": code.tolist(),
        "status": status.tolist(),
        "country": ["GB"] * ROWS,
        "part": ["Validation" if number % 4 == 0 else "Development" for number in range(ROWS)],
        "outcome": ["Decline" if value else "Accept" for value in bad],
    }


def write_csv(path: Path, table: dict[str, list[str]]) -> Path:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return path
