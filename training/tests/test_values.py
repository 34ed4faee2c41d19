"""How fields are read: numbers, texts for missing, and numbers that people wrote."""

import json
from pathlib import Path

import numpy as np
import pytest

from conftest import notices_of
from limit_training import spelling
from limit_training.values import MISSING, as_number, is_missing, profile

VALUES = Path(__file__).parents[2] / "tests" / "csv_values.json"
WRITTEN = json.loads(VALUES.with_name("written_numbers.json").read_text())["cases"]
CASES = {case["text"]: case for case in json.loads(VALUES.read_text())["cases"]}
ROWS = 600


def numbers(other: str, every: int, values=lambda number: f"{number % 97}.5") -> list[str]:
    return [other if number % every == 0 else values(number) for number in range(ROWS)]


@pytest.mark.parametrize("text", CASES)
def test_one_field_is_read_here_and_by_the_loader_alike(text):
    case = CASES[text]
    read = as_number(text)
    if "number" not in case:
        assert read is None and not is_missing(text)
    elif case["number"] is None:
        assert read is None and is_missing(text)
    else:
        assert read == case["number"]


def test_every_text_for_missing_has_a_case_that_the_loader_shares():
    cases = {text.strip().lower() for text, case in CASES.items() if case.get("number", 0) is None}
    assert cases == MISSING


@pytest.mark.parametrize(
    "text", ["NA", "N/A", "n/a", "?", ".", "-", "null", "NULL", "None", " ", "#N/A", "\\N", "NaN"]
)
@pytest.mark.parametrize("every", [2, 5, 300])
def test_a_text_for_missing_is_missing_whatever_its_share(text, every):
    column = profile("income", np.array(numbers(text, every), dtype=object))
    assert column.numeric
    assert np.flatnonzero(np.isnan(column.floats)).tolist() == list(range(0, ROWS, every))


def test_a_column_of_numbers_with_na_is_numbers_with_a_notice_and_a_count(run_training, table):
    changed = {**table, "income": numbers("NA", 5), "dependents": numbers("?", 7, lambda n: n % 7)}
    artifact = run_training(changed, "--features", "bureau_score,income,dependents")
    assert [feature["kind"] for feature in artifact.manifest["features"]] == ["numeric"] * 3
    treatments = [
        column["nan_value_treatment"]
        for column in artifact.model["features_info"]["float_features"]
    ]
    assert treatments == ["AsIs", "AsFalse", "AsFalse"]
    notices = notices_of(artifact)
    assert "income is read as numbers; 'NA' (120 rows) are read as missing values" in notices
    assert "dependents is read as numbers; '?' (86 rows)" in notices


def test_na_and_an_empty_field_give_the_same_model(run_training, table, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    options = ("--features", "bureau_score,income")
    contents = [
        run_training({**table, "income": numbers(text, 5)}, *options).content
        for text in ("", "NA", " ", "null")
    ]
    assert len(set(contents)) == 1


def test_a_count_with_a_word_is_categories_with_a_notice(run_training, table):
    changed = {**table, "dependents": numbers("3+", 9, lambda number: number % 3)}
    artifact = run_training(changed, "--features", "bureau_score,dependents")
    assert (
        "dependents is read as categories because of '3+' (67 rows); if it is a number, write those"
        " as empty fields or numbers. If it is not, name it: --categorical dependents."
    ) in notices_of(artifact)
    asked = run_training(
        changed, "--features", "bureau_score,dependents", "--categorical", "dependents"
    )
    assert "is read as categories because" not in notices_of(asked)


def test_na_among_categories_stays_one_of_them_and_is_named(run_training, table):
    changed = {**table, "status": [value or "NA" for value in table["status"]]}
    artifact = run_training(changed, "--features", "bureau_score,status")
    categories = [feature.get("category") for feature in artifact.manifest["features"]]
    assert "NA" in categories
    assert "status is read as categories, and 'NA' (" in notices_of(artifact)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda n: f"{n % 89}.5%", ["a percent sign", "0.5 for '0.5%'"]),
        (
            lambda n: f"{1000 + n % 89:,}",
            ["thousands separators", "1000 for '1,000' (or 1.000, if"],
        ),
        (lambda n: f"{n % 89},25", ["a decimal comma", "0.25 for '0,25'"]),
        (lambda n: f"${n % 89}", ["a currency sign", "0 for '$0'"]),
        (lambda n: f"{n % 89} EUR", ["a currency sign", "0 for '0 EUR'"]),
        (lambda n: f"{1000 + n % 5:,}", ["thousands separators"]),
    ],
    ids=["percent", "thousands", "decimal comma", "dollar", "euro", "few values"],
)
def test_numbers_as_people_write_them_are_refused_with_what_to_write(refused, write, words):
    def change(table):
        table["income"] = [write(number) for number in range(ROWS)]

    code, message, _ = refused(change=change)
    assert code == 3
    for text in [*words, "--categorical income"]:
        assert text in message


def test_such_numbers_can_be_categories_if_that_is_said(run_training, table):
    changed = {**table, "rate": [f"{number % 5}%" for number in range(ROWS)]}
    artifact = run_training(changed, "--features", "bureau_score,rate", "--categorical", "rate")
    assert len(artifact.manifest["features"]) == 6


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: case["text"])
def test_a_written_number_gets_the_advice_that_the_loader_gives(case):
    found = None
    if spelling.plain(case["text"]):
        signs, advice = spelling.advice([case["text"]])
        found = {"what": f"has {signs}", "advice": advice}
    assert found == ({key: case[key] for key in ("what", "advice")} if "what" in case else None)


def test_a_decimal_comma_is_told_with_its_line_and_column(refused, table):
    rows = [[value.replace(",", " ") for value in row] for row in zip(*table.values(), strict=True)]
    place = list(table).index("income")
    rows[0][place], rows[1][place] = "1.5", "2,5"
    lines = [";".join(row) for row in [list(table), *rows]]
    code, message, _ = refused(content="\n\n".join(lines).encode())
    assert code == 3
    assert "income has numbers with a decimal comma, for example '2,5' (1 rows)" in message
    assert "table.csv, line 5, column income" in message
    assert "write plain numbers, with a point before the fraction: 2.5 for '2,5'" in message


def test_a_minus_sign_that_is_an_outcome_is_none_for_missing(run_training, table, refused):
    signs = {**table, "outcome": ["+" if value == "Decline" else "-" for value in table["outcome"]]}
    artifact = run_training(signs, "--features", "bureau_score", "--positive", "+")
    assert artifact.result["good_values"] == ["-"]
    code, message, _ = refused(change=lambda table: table["outcome"].__setitem__(3, "NA"))
    assert code == 3 and "the outcome is not known" in message and "'NA' (1 rows)" in message
