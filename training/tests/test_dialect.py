"""The trainer reads the dialect of CSV that the loader of customers reads."""

import gzip
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
    content = case["text"].encode(case.get("encoding", "utf-8"))
    path.write_bytes(gzip.compress(content) if case.get("gzip") else content)
    skipped = case.get("skip_lines", 0)

    if "rows" in case:
        table = read_table(str(path), skipped)
        rows = zip(*(table.values[column] for column in table.columns), strict=True)
        assert [list(row) for row in rows] == case["rows"]
        return

    with pytest.raises(TrainingError) as refused:
        read_table(str(path), skipped)
    message = str(refused.value)
    assert message == case["words"]
    assert case.get("next", "") in refused.value.next_step
    if "line" in case:
        assert refused.value.where.endswith(f", line {case['line']}")
