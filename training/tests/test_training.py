"""Which rows and columns a training uses, and what its report says."""

import pytest

import train
from conftest import write_csv
from limit_training import report
from limit_training.encode import describe


def sources(result: dict) -> list[str]:
    return list(dict.fromkeys(feature["source_column"] for feature in result["features"]))


def test_identifiers_dates_and_constants_are_left_out_with_a_notice(artifact):
    assert sources(artifact.result) == ["bureau_score", "income", "branch", "status"]
    notices = "\n".join(artifact.result["notices"])
    for text in (
        "customer_id is left out: every row",
        "opened is left out: it holds dates",
        "country is left out: it is",
    ):
        assert text in notices


def test_a_gzip_file_and_chosen_features_in_the_order_asked(run_training, table):
    artifact = run_training(table, "--features", "income,bureau_score", name="table.csv.gz")
    assert [feature["name"] for feature in artifact.manifest["features"]] == [
        "income",
        "bureau_score",
    ]


def test_a_fifth_of_each_class_is_held_out_without_a_split_column(run_training, table):
    artifact = run_training(table, "--features", "bureau_score", "--seed", "3")
    assert artifact.manifest["training"]["validation_rows"] == pytest.approx(120, abs=1)
    bad_rate = table["outcome"].count("Decline") / len(table["outcome"])
    assert artifact.manifest["training"]["bad_rate"] == pytest.approx(bad_rate, abs=0.005)


def test_named_validation_values_are_held_out(run_training, table):
    parts = [("a", "b", "c")[number % 3] for number in range(len(table["part"]))]
    changed = {**table, "part": parts}
    artifact = run_training(
        changed, "--features", "bureau_score", "--split-column", "part", "--validation-value", "b,c"
    )
    assert (
        artifact.manifest["training"]["rows"],
        artifact.manifest["training"]["validation_rows"],
    ) == (200, 400)


def test_held_out_values_that_training_never_saw_are_not_measured(run_training, table):
    changed = {name: list(values) for name, values in table.items()}
    changed["status"][0] = "castle"
    changed["bureau_score"][4] = ""
    artifact = run_training(changed, "--features", "bureau_score,status", "--split-column", "part")
    assert artifact.manifest["training"]["validation_rows"] == 148
    assert "status=castle" not in [feature["name"] for feature in artifact.manifest["features"]]
    notices = "\n".join(artifact.result["notices"])
    assert "1 held-out rows have a value of status that no training row has" in notices
    assert "1 held-out rows have a value of bureau_score" in notices


def test_sentinels_stay_numbers(run_training, table):
    changed = {
        **table,
        "income": ["-9999998" if value == "" else value for value in table["income"]],
    }
    artifact = run_training(changed, "--features", "bureau_score,income")
    (income,) = (
        f for f in artifact.model["features_info"]["float_features"] if f["feature_id"] == "income"
    )
    assert (income["has_nans"], income["nan_value_treatment"]) == (False, "AsIs")
    assert any(-9999998.0 in row["inputs"] for row in artifact.manifest["golden_rows"])


def test_figures_are_consistent_and_calibration_covers_every_held_out_row(artifact):
    training = artifact.manifest["training"]
    assert 0.6 < training["auc"] < 1
    assert training["gini"] == pytest.approx(2 * training["auc"] - 1)
    assert 0 < training["ks"] <= 1
    bands = training["calibration"]
    assert len(bands) == 10
    assert sum(band["rows"] for band in bands) == training["validation_rows"]
    assert [band["predicted"] for band in bands] == sorted(band["predicted"] for band in bands)


def test_class_weights_raise_the_log_odds_and_the_report_says_so(run_training, table, artifact):
    options = ("--categorical", "branch", "--split-column", "part")
    weighted = run_training(table, *options, "--class-weights", "1,8")
    assert (
        weighted.manifest["golden_rows"][0]["base_value"]
        > artifact.manifest["golden_rows"][0]["base_value"] + 0.5
    )
    text = report.as_text(weighted.result)
    shift = "class weights 1,8 shift the log-odds of bad by about +2.08"
    assert f"{shift}, so scores move by about -60 points" in text


def test_columns_that_are_one_number_or_empty_are_left_out(run_training, table):
    rows = len(table["outcome"])
    changed = {
        **table,
        "same": ["1", "1.0"] * (rows // 2),
        "empty": [""] * rows,
        "gaps": ["", "NaN"] * (rows // 2),
    }
    artifact = run_training(changed, "--features", "bureau_score,same,empty,gaps")
    assert sources(artifact.result) == ["bureau_score"]
    notices = "\n".join(artifact.result["notices"])
    assert "same is left out: it is the same number" in notices
    assert "empty is left out: it is empty" in notices


def test_a_model_that_is_too_good_is_pointed_out(run_training, table):
    leak = [
        f"{number + 1000 * (value == 'Decline')}" for number, value in enumerate(table["outcome"])
    ]
    artifact = run_training({**table, "arrears_later": leak}, "--features", "arrears_later")
    assert any("is too good for credit data" in notice for notice in artifact.result["notices"])


def test_category_names_survive_any_text(run_training, table):
    names = [
        "zażółć",
        "two\nlines",
        "tab\there",
        'a "quote"',
        " leading",
        "NaN",
        "null",
        '{"a": 1}',
    ]
    changed = {
        **table,
        "status": [names[number % len(names)] for number in range(len(table["outcome"]))],
    }
    artifact = run_training(changed, "--features", "bureau_score,status")
    assert [feature["category"] for feature in artifact.manifest["features"][1:]] == sorted(names)


def test_the_report_names_the_classes_and_the_figures(artifact):
    text = report.as_text(artifact.result)
    assert "Bad class    outcome = Decline  (good: Accept)" in text
    for figure in ("auc", "gini", "ks"):
        assert f"{artifact.manifest['training'][figure]:.4f}" in text


def test_progress_goes_to_the_error_stream_and_the_report_to_the_output(tmp_path, table, capsys):
    data = write_csv(tmp_path / "table.csv", table)
    command = [
        "--data",
        str(data),
        "--target",
        "outcome",
        "--positive",
        "Decline",
        "--features",
        "bureau_score",
    ]
    assert (
        train.main(
            [*command, "--iterations", "20", "--output", str(tmp_path / "new" / "model.tar.gz")]
        )
        == 0
    )
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith("training: 20/20 trees")
    assert len(captured.err.splitlines()) == 10
    assert captured.out.startswith("Model        20 trees of depth 6 on 1 columns")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("bureau_score", "Bureau score"),
        ("Loan_to_income", "Loan to income"),
        ("SP_Number_of_CCJs", "SP number of CCJs"),
        ("X1", "X1"),
        ("__", "__"),
    ],
)
def test_descriptions_read_like_words(column, expected):
    assert describe(column) == expected
