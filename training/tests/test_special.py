"""Special values are missing values with a meaning, and never numbers of a median or a letter."""

import statistics

import pytest

from conftest import notices_of
from limit_training.errors import EXIT_USAGE

ROWS = 600


def with_codes(table):
    score = [
        "-9" if number % 5 == 0 else "-8.0" if number % 50 == 1 else value
        for number, value in enumerate(table["bureau_score"])
    ]
    return {**table, "bureau_score": score}


def test_they_are_missing_in_the_model_and_in_the_median(run_training, table, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    changed = with_codes(table)
    options = ("--features", "bureau_score,income", "--split-column", "part")
    artifact = run_training(
        changed, *options, "--special", "bureau_score=-9:no bureau record,-8:no usable record"
    )
    score = artifact.manifest["features"][0]
    assert score["special"] == [
        {"value": -9.0, "meaning": "no bureau record"},
        {"value": -8.0, "meaning": "no usable record"},
    ]
    known = [
        float(value)
        for value, part in zip(changed["bureau_score"], table["part"], strict=True)
        if part == "Development" and float(value) > 0
    ]
    assert score["median"] == pytest.approx(statistics.median(known))
    column = artifact.model["features_info"]["float_features"][0]
    assert (column["has_nans"], column["nan_value_treatment"]) == (True, "AsFalse")
    assert all(border > 0 for border in column["borders"] if border > -1e38)
    inputs = [row["inputs"][0] for row in artifact.manifest["golden_rows"]]
    assert None in inputs and -9.0 not in inputs and -8.0 not in inputs

    # The model is the one that empty fields give.
    emptied = [value if float(value) > 0 else "" for value in changed["bureau_score"]]
    empty = run_training({**table, "bureau_score": emptied}, *options)
    assert empty.entries["model.json"] == artifact.entries["model.json"]
    assert "special" not in empty.manifest["features"][0]


def test_a_star_is_every_column_that_has_the_value(run_training, table):
    artifact = run_training(
        with_codes(table), "--features", "bureau_score,income", "--special", "*=-9:no record"
    )
    assert [feature.get("special") for feature in artifact.manifest["features"]] == [
        [{"value": -9.0, "meaning": "no record"}],
        None,
    ]
    assert "bureau_score has -8 (12 rows), which stand apart" in notices_of(artifact)


def test_a_code_that_only_the_night_will_bring_is_kept(run_training, table):
    features = ("--features", "bureau_score,income")
    own = run_training(table, *features, "--special", "income=-7:condition not met")
    every = run_training(with_codes(table), *features, "--special", "*=-9:none,-7:not met")
    codes = [
        [
            [one["value"] for one in feature.get("special", [])]
            for feature in made.manifest["features"]
        ]
        for made in (own, every)
    ]
    assert codes == [[[], [-7.0]], [[-9.0, -7.0], []]]


def test_codes_that_nobody_named_are_pointed_out(run_training, table):
    artifact = run_training(with_codes(table), "--features", "bureau_score,income")
    text = notices_of(artifact)
    assert "bureau_score has -9 (120 rows), -8 (12 rows), which stand apart" in text
    assert "--special 'bureau_score=-9:why,-8:why'" in text
    assert "income has" not in text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("bureau_score", "does not begin with a column"),
        ("nothing=-9:x", "does not begin with a column"),
        ("bureau_score=-9", "is not VALUE:meaning"),
        ("bureau_score=none:x", "is not VALUE:meaning"),
        ("bureau_score=-9:", "is not VALUE:meaning"),
        ("bureau_score=-9:a,-9.0:b", "two meanings"),
        (f"bureau_score=-9:{'x' * 81}", "longer than 80"),
    ],
)
def test_what_is_no_special_value_is_refused(refused, given, words):
    code, message, _ = refused("--special", given)
    assert code == EXIT_USAGE and words in message


def test_a_name_with_an_equals_sign_can_be_given(run_training, table):
    changed = {"bureau_score": table["bureau_score"], "outcome": table["outcome"]}
    changed["a=b"] = with_codes(table)["bureau_score"]
    artifact = run_training(changed, "--special", "a=b=-9:no record,-8:old = unusable")
    assert artifact.manifest["features"][1]["special"][1]["meaning"] == "old = unusable"
