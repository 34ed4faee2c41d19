"""The report says what the model will do: scores, the cut-off, and what a sample does to them."""

import math

import numpy as np
import pytest

from conftest import notices_of
from limit_training import report
from limit_training.errors import EXIT_USAGE
from limit_training.forecast import Scorecard, logit

OPTIONS = ("--features", "bureau_score,income", "--split-column", "part")


@pytest.mark.parametrize(("odds", "score"), [(30, 600), (60, 620), (15, 580), (960, 700), (1, 502)])
def test_points_are_those_of_the_scoring_function(odds, score):
    assert Scorecard(20, 600, 30).scores(np.array([-math.log(odds)])).tolist() == [score]


def test_half_a_point_rounds_away_from_zero():
    unit = Scorecard(math.log(2), 0, 1)
    assert unit.scores(np.array([-649.5, -649.499, 649.5])).tolist() == [650, 649, -650]


def test_the_scores_of_the_held_out_rows_and_the_share_at_the_cut_off(run_training, table):
    plain = run_training(table, *OPTIONS)
    median = plain.result["scores"]["quantiles"][2]["score"]
    artifact = run_training(table, *OPTIONS, "--minimum-score", str(median))
    scores = artifact.result["scores"]
    quantiles = [quantile["score"] for quantile in scores["quantiles"]]
    assert quantiles == sorted(quantiles)
    assert scores["lowest"] <= quantiles[0] and quantiles[-1] <= scores["highest"]
    assert scores["minimum_score"] == median
    assert 0.5 <= scores["share_at_or_above"] < 1
    text = report.as_text(artifact.result)
    share = f"{scores['share_at_or_above']:.1%}"
    assert f"Scores: {share} of the held-out rows have {median} points or more" in text
    assert set(artifact.manifest) == set(plain.manifest)


def test_a_file_from_which_nobody_would_be_approved_says_so(run_training, table):
    artifact = run_training(table, *OPTIONS)
    assert artifact.result["scores"]["minimum_score"] == 650
    text = notices_of(artifact)
    assert "of the held-out rows have a score of 650 or more" in text
    assert "so nobody is approved" in text and "--population-bad-rate" in text
    assert "of the training rows are bad. If the file was made with more bad rows" in text


def test_the_population_s_bad_rate_moves_every_score_by_the_same_points(run_training, table):
    plain = run_training(table, *OPTIONS)
    corrected = run_training(table, *OPTIONS, "--population-bad-rate", "0.02")
    moved = corrected.model["scale_and_bias"][1][0]
    # The model is not trained to its end, so its own rate is not quite that of the rows.
    expected = logit(0.02) - logit(plain.manifest["training"]["bad_rate"])
    assert moved == pytest.approx(expected, abs=1)
    for before, after in zip(
        plain.manifest["golden_rows"], corrected.manifest["golden_rows"], strict=True
    ):
        assert after["raw_value"] - before["raw_value"] == pytest.approx(moved, abs=1e-9)
        assert after["base_value"] - before["base_value"] == pytest.approx(moved, abs=1e-9)
        assert after["shap_values"] == pytest.approx(before["shap_values"], abs=1e-9)
    assert corrected.model["model_info"]["model_guid"] != plain.model["model_info"]["model_guid"]
    assert corrected.result["scores"]["lowest"] > plain.result["scores"]["lowest"] + 60
    for figure in ("auc", "gini", "ks"):
        assert corrected.manifest["training"][figure] == plain.manifest["training"][figure]


def test_the_corrected_model_is_calibrated_for_the_population(run_training, table):
    corrected = run_training(table, *OPTIONS, "--population-bad-rate", "0.02", "--iterations", "60")
    training = corrected.manifest["training"]
    # The observed rates are those of the rows, weighed so that 2 % of them are bad.
    observed = [band["observed"] for band in training["calibration"]]
    predicted = [band["predicted"] for band in training["calibration"]]
    assert max(observed) < 0.5
    assert np.mean(predicted) == pytest.approx(0.02, abs=0.01)
    assert "of a population with 2.00% bad customers" in notices_of(corrected)


def test_class_weights_are_corrected_too(run_training, table):
    rate = ("--population-bad-rate", "0.02")
    plain = run_training(table, *OPTIONS, *rate)
    weighted = run_training(table, *OPTIONS, *rate, "--class-weights", "1,8")
    first, second = (
        artifact.manifest["golden_rows"][0]["base_value"] for artifact in (plain, weighted)
    )
    assert first == pytest.approx(second, abs=0.5)
    assert "no longer match the observed bad rates" not in notices_of(weighted)


@pytest.mark.parametrize("rate", ["0", "1", "3", "nan"])
def test_a_share_that_is_none_is_refused(refused, rate):
    code, message, _ = refused("--population-bad-rate", rate)
    assert code == EXIT_USAGE and "between 0 and 1" in message


def test_the_held_out_rows_are_written_for_a_forecast_by_the_policy(
    run_training, table, tmp_path_factory
):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    artifact = run_training(table, *OPTIONS, "--scored-rows", str(path))
    held_out = [row for row, part in enumerate(table["part"]) if part == "Validation"]
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert rows[0] == ["row", "score", "weight"]
    assert [int(row) for row, _, _ in rows[1:]] == held_out
    assert {weight for _, _, weight in rows[1:]} == {"1"}
    scores = artifact.result["scores"]
    assert min(int(score) for _, score, _ in rows[1:]) == scores["lowest"]
    assert max(int(score) for _, score, _ in rows[1:]) == scores["highest"]
    # The policy has the cut-off, and whoever asked for the rows has the policy.
    assert "minimum_score" not in scores and "nobody is approved" not in notices_of(artifact)
    assert artifact.result["table"] == {"rows": len(table["part"]), "skip_lines": 0}
    named = run_training(table, *OPTIONS, "--scored-rows", str(path), "--minimum-score", "640")
    assert named.result["scores"]["minimum_score"] == 640


def test_the_rows_of_a_sample_have_the_weights_of_the_population(
    run_training, table, tmp_path_factory
):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    run_training(table, *OPTIONS, "--scored-rows", str(path), "--population-bad-rate", "0.02")
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    weights = np.array([float(weight) for _, _, weight in rows])
    bad = np.array([table["outcome"][int(row)] == "Decline" for row, _, _ in rows])
    assert weights.mean() == pytest.approx(1) and len(set(weights)) == 2
    assert weights[bad].sum() / weights.sum() == pytest.approx(0.02)


def test_a_held_out_row_that_cannot_be_scored_has_no_score(run_training, table, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    odd = {**table, "status": list(table["status"])}
    odd["status"][4] = "castle"
    options = ("--features", "bureau_score,status", "--split-column", "part")
    run_training(odd, *options, "--scored-rows", str(path))
    empty = [line for line in path.read_text().splitlines() if ",," in line]
    assert empty == ["4,,1"]
