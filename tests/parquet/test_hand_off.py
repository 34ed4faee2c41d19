"""Another program can read the hand-off's Parquet.

DuckDB sees each column with its natural type, the right values, and the encoding that we chose.
"""

import json
import subprocess
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = 300


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small file of each stage, written by the crate that writes them in a run."""
    directory = tmp_path_factory.mktemp("hand-off")
    subprocess.run([example(), str(directory)], cwd=ROOT, check=True)
    return directory


def example() -> str:
    """The program of the example, out of the crates that `cargo test --workspace` has compiled."""
    command = ["cargo", "build", "--quiet", "--workspace", "--example", "handoff_files"]
    command += ["--message-format", "json"]
    messages = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    built = [json.loads(line) for line in messages.splitlines()]
    return next(message["executable"] for message in built if message.get("executable"))


def types(file: Path) -> dict[str, str]:
    """The type of each column, as DuckDB names it."""
    return {
        name: kind
        for name, kind, *_ in duckdb.sql(f"DESCRIBE FROM read_parquet('{file}')").fetchall()
    }


def test_columns_have_their_natural_types(files: Path) -> None:
    assert types(files / "customers.parquet") == {
        "customer_id": "VARCHAR",
        "current_score": "INTEGER",
        "current_limit": "DECIMAL(10,2)",
        "unreadable": "VARCHAR",
        "application_date": "DATE",
        "annual_income": "DECIMAL(14,2)",
        "has_features": "BOOLEAN",
        "feature_bureau_score": "DOUBLE",
        "feature_home": "VARCHAR",
    }

    scored = types(files / "scored_customers.parquet")
    assert (scored["scored"], scored["new_score"]) == ("BOOLEAN", "INTEGER")
    assert scored["shap_home"] == "DOUBLE"
    assert (scored["reason_4"], scored["reason_4_points"]) == ("VARCHAR", "DOUBLE")

    evaluations = types(files / "evaluations.parquet")
    assert (evaluations["new_limit"], evaluations["decision"]) == ("DECIMAL(10,2)", "VARCHAR")
    assert (evaluations["annual_income"], evaluations["new_score"]) == ("DECIMAL(14,2)", "INTEGER")
    assert types(files / "results.parquet")["effect"] == "VARCHAR"


def test_money_comes_back_to_the_cent(files: Path) -> None:
    query = f"""SELECT sum(current_limit), min(current_limit), count(annual_income)
                FROM '{files}/customers.parquet'"""
    total, least, incomes = duckdb.sql(query).fetchall()[0]
    assert (str(total), str(least), incomes) == ("1500445.50", "4999.99", ROWS - 1)


def test_values_and_missing_values_come_back(files: Path) -> None:
    query = f"""SELECT customer_id, application_date::text, feature_bureau_score, feature_home,
                       has_features
                FROM '{files}/customers.parquet' WHERE customer_id <= 'CUST_0002' ORDER BY 1"""
    assert duckdb.sql(query).fetchall() == [
        ("CUST_0000", "2026-02-28", 0.1, 'tenant, "ü"', True),
        ("CUST_0001", "2026-02-28", None, 'tenant, "ü"', False),
        ("CUST_0002", "2026-02-28", 0.1, None, True),
    ]

    query = f"""SELECT count(*), sum(shap_bureau_score * 7)
                FROM '{files}/scored_customers.parquet' WHERE scored"""
    assert duckdb.sql(query).fetchall()[0] == (ROWS - 1, pytest.approx(sum(range(ROWS))))


def test_stages_join_by_customer(files: Path) -> None:
    query = f"""SELECT r.effect, r.decision, count(*), sum(e.new_limit)::text
                FROM '{files}/results.parquet' r
                JOIN '{files}/evaluations.parquet' e USING (customer_id, decision_reason)
                GROUP BY ALL ORDER BY ALL"""
    assert duckdb.sql(query).fetchall() == [
        ("STALE", "APPROVED", 1, "7499.00"),
        ("WRITTEN", "APPROVED", 149, "1117351.00"),
        ("WRITTEN", "DECLINED", 150, None),
    ]


def test_repeated_text_is_stored_once(files: Path) -> None:
    def stored(file: str, column: str) -> tuple[str, str]:
        """The encodings and the compression of a column."""
        query = f"""SELECT encodings, compression FROM parquet_metadata('{files}/{file}.parquet')
                    WHERE path_in_schema = '{column}'"""
        return duckdb.sql(query).fetchall()[0]

    for file, column in (
        ("customers", "feature_home"),
        ("scored_customers", "reason_1"),
        ("evaluations", "decision"),
    ):
        encodings, compression = stored(file, column)
        assert "DICTIONARY" in encodings and compression == "SNAPPY", (file, column, encodings)

    encodings, compression = stored("evaluations", "decision_reason")
    assert "DICTIONARY" not in encodings and compression == "SNAPPY", encodings
    encodings, compression = stored("scored_customers", "shap_home")
    assert "DICTIONARY" not in encodings and compression == "UNCOMPRESSED", encodings
