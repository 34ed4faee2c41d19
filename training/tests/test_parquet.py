"""A training table of Parquet is read as a CSV file of the same table would be."""

import json
from pathlib import Path

import numpy as np
import pytest

from limit_training.data import read_table
from limit_training.errors import TrainingError

FOLDER = Path(__file__).parents[2] / "tests" / "parquet_values"
TABLES = json.loads((FOLDER / "values.json").read_text())["tables"]
FILES = [(file, table) for table in TABLES for file in table["files"]]


@pytest.mark.parametrize(("file", "case"), FILES, ids=[file for file, _ in FILES])
def test_every_type_is_read_here_and_by_the_loader_alike(file, case):
    table = read_table(str(FOLDER / file))
    assert {name: list(table.values[name]) for name in case["columns"]} == case["columns"]
    assert table.unreadable == case.get("refused", {})
    assert set(table.columns) == {*case["columns"], *case.get("refused", {})}


def test_rows_of_several_groups_keep_their_order_and_other_codecs_are_read():
    table = read_table(str(FOLDER / "polars.parquet"))
    assert list(table.values["number"]) == [str(number) for number in range(2500)]
    assert table.values["text"][:3].tolist() == ["", "t1", "t2"]
    assert read_table(str(FOLDER / "brotli.parquet")).values["text"][0] == 'tenant, "ü"'


def test_parquet_and_csv_of_one_table_are_the_same():
    parquet = read_table(str(FOLDER / "customers.parquet"))
    text = read_table(str(FOLDER / "customers.csv"))
    assert parquet.columns == text.columns
    for name in set(text.columns) - {"list"}:
        assert np.array_equal(parquet.values[name], text.values[name]), name
    assert (parquet.place(0), text.place(0)) == (
        f"{FOLDER}/customers.parquet, row 1",
        f"{FOLDER}/customers.csv, line 2",
    )


@pytest.fixture
def as_parquet(table, tmp_path):
    """Writes the small table as Parquet, with other expressions for some of its columns."""
    import duckdb

    from conftest import write_csv

    def write(path: Path, **expressions: str) -> bytes:
        source = write_csv(tmp_path / "source.csv", table)
        replaced = ", ".join(f"{value} AS {name}" for name, value in expressions.items())
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (SELECT * REPLACE ({replaced}) FROM read_csv('{source}', all_varchar = true,"
                f" nullstr = '')) TO '{path}' (FORMAT parquet, CODEC zstd)"
            )
        source.unlink()
        content = path.read_bytes()
        path.unlink()
        return content

    return write


NUMBERS = {"income": "income::DOUBLE", "bureau_score": "bureau_score::INTEGER"}


def test_a_model_of_parquet_is_that_of_csv(run_training, table, train_file, as_parquet, tmp_path):
    content = as_parquet(tmp_path / "a[1].parquet", **NUMBERS)
    from_csv = run_training(table, "--categorical", "branch").result
    from_parquet = train_file(content, "--categorical", "branch")
    assert from_parquet["features"] == from_csv["features"]
    assert from_parquet["training"] == from_csv["training"]


def test_columns_in_columns_are_left_out_and_refused_if_they_are_asked_for(
    train_file, refused, as_parquet, tmp_path
):
    content = as_parquet(tmp_path / "a.parquet", **NUMBERS, country="[country]")
    notices = train_file(content)["notices"]
    words = "column 'country' holds lists or other columns, which are neither numbers nor texts"
    assert f"country is left out: {words}." in notices
    (tmp_path / "table.csv").unlink()
    (tmp_path / "model.tar.gz").unlink()
    code, message, _ = refused("--features", "income,country", content=content)
    assert code == 3 and words in message
    code, message, _ = refused("--target", "country", content=content)
    assert code == 3 and words in message


@pytest.mark.parametrize("length", [4, 12, 1000, -1])
def test_a_damaged_file_is_an_error(refused, length):
    content = (FOLDER / "snappy.parquet").read_bytes()[:length]
    code, message, _ = refused(content=content)
    assert code == 3 and "the Parquet file is damaged: " in message
    assert "copy or write the file again" in message


def test_a_path_with_brackets_is_one_file_and_skipped_lines_are_refused(tmp_path):
    path = tmp_path / "a[1]*.parquet"
    path.write_bytes((FOLDER / "int96.parquet").read_bytes())
    assert read_table(str(path)).rows == 3
    with pytest.raises(TrainingError, match="no lines above"):
        read_table(str(path), 1)


def test_the_row_names_of_pandas_are_a_column_without_a_name(tmp_path):
    import duckdb

    path = tmp_path / "index.parquet"
    duckdb.sql(f"COPY (SELECT 1 AS a, 7 AS __index_level_0__) TO '{path}' (FORMAT parquet)")
    table = read_table(str(path))
    assert (table.columns, table.nameless) == (["a"], [2])
