"""The trainer reads the dialect of CSV that the loader of customers reads."""

import json
from pathlib import Path

import pytest

from limit_training.data import read_table
from limit_training.errors import TrainingError

DIALECT = Path(__file__).parents[2] / "tests" / "csv_dialect.json"
CASES = {case["name"]: case for case in json.loads(DIALECT.read_text())["cases"]}


@pytest.mark.parametrize("name", CASES)
def test_one_dialect_is_read_here_and_by_the_loader(tmp_path, name):
    case = CASES[name]
    path = tmp_path / "file.csv"
    path.write_bytes(case["text"].encode())

    if "rows" in case:
        table = read_table(str(path))
        rows = zip(*(table.values[column] for column in table.columns), strict=True)
        assert [list(row) for row in rows] == case["rows"]
        return

    with pytest.raises(TrainingError) as refused:
        read_table(str(path))
    message = str(refused.value)
    assert case["words"] in message and f"line {case['line']}" in refused.value.where
