"""The trainer's own checks find what the scoring function would refuse, in real models."""

import copy
import json

import catboost
import numpy as np
import pytest

from limit_training import selfcheck
from limit_training.errors import EXIT_SELF_CHECK, TrainingError


def exported(tmp_path, labels: int = 2, **parameters) -> dict:
    generator = np.random.default_rng(1)
    matrix = [[float(value), f"c{value % 3:.0f}"] for value in generator.integers(0, 50, 200)]
    if "cat_features" not in parameters:
        matrix = [[row[0], row[0] % 7] for row in matrix]
    model = catboost.CatBoostClassifier(
        iterations=3, depth=3, verbose=False, allow_writing_files=False, **parameters
    )
    model.fit(matrix, [number % labels for number in range(200)])
    path = tmp_path / "model.json"
    # CatBoost exports a model with categories only if it is given the rows.
    pool = catboost.Pool(matrix, cat_features=parameters.get("cat_features"))
    model.save_model(str(path), format="json", pool=pool)
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"grow_policy": "Lossguide"}, "not symmetric"),
        ({"labels": 3, "loss_function": "MultiClass"}, "several outputs"),
        ({"cat_features": [1], "one_hot_max_size": 5}, "categorical features"),
    ],
    ids=["non-symmetric", "multiclass", "categories"],
)
def test_models_that_cannot_be_scored_are_refused(tmp_path, parameters, expected):
    with pytest.raises(TrainingError, match=expected) as refusal:
        selfcheck.check_scorable(exported(tmp_path, **parameters))
    assert refusal.value.exit_code == EXIT_SELF_CHECK
    assert "symmetric trees on numeric columns" in refusal.value.next_step


def test_a_plain_model_passes(tmp_path):
    selfcheck.check_scorable(exported(tmp_path))


@pytest.mark.parametrize("field", ["raw_value", "probability", "base_value"])
def test_a_golden_row_that_differs_is_noticed(artifact, field):
    rows = copy.deepcopy(artifact.manifest["golden_rows"])
    selfcheck.check_golden(artifact.model, rows)
    rows[3][field] += 1e-6
    with pytest.raises(TrainingError, match="golden row 3"):
        selfcheck.check_golden(artifact.model, rows)


def test_an_onnx_of_another_model_is_noticed(artifact, run_training, table):
    other = run_training(table, "--features", "bureau_score", "--depth", "5")
    columns = len(artifact.manifest["features"])
    with pytest.raises(TrainingError, match="takes 1 columns"):
        selfcheck.check_onnx_structure(other.entries["model.onnx"], artifact.model, columns)
    with pytest.raises(TrainingError, match="leaves"):
        selfcheck.check_onnx_structure(other.entries["model.onnx"], artifact.model, 1)
    matrix = np.full((1, 1), 600, dtype=np.float32)
    with pytest.raises(TrainingError, match="differs from CatBoost by"):
        selfcheck.check_onnx_answers(
            other.entries["model.onnx"], other.model, matrix, np.array([9.0])
        )


def test_features_in_another_order_are_noticed(artifact):
    manifest = artifact.manifest
    manifest["features"].reverse()
    with pytest.raises(TrainingError, match="not the model's columns in order"):
        selfcheck.check_files(
            artifact.entries, manifest, np.zeros((1, 1), dtype=np.float32), np.zeros(1)
        )
