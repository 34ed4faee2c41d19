"""The artifact is what the scoring function expects.

Names, shapes, hashes and golden rows are right, and equal input gives equal bytes.
"""

import hashlib
import json
import math
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import required, write_csv

MANIFEST = {
    "schema_version",
    "model_name",
    "created_at",
    "catboost_version",
    "target",
    "features",
    "category_spelling",
    "scorecard",
    "training",
    "profile",
    "files",
    "golden_rows",
}
TRAINING = {
    "rows",
    "validation_rows",
    "trees",
    "depth",
    "auc",
    "gini",
    "ks",
    "log_loss",
    "bad_rate",
    "calibration",
}


def test_holds_exactly_three_plain_files(artifact):
    assert sorted(artifact.entries) == ["manifest.json", "model.json", "model.onnx"]
    for member in artifact.members:
        assert member.isfile()
        assert (member.mtime, member.uid, member.gid, member.uname, member.mode) == (
            0,
            0,
            0,
            "",
            0o644,
        )


def test_manifest_has_the_agreed_fields_and_no_others(artifact):
    manifest = artifact.manifest
    assert set(manifest) == MANIFEST
    assert set(manifest["training"]) == TRAINING
    assert manifest["schema_version"] == 2
    assert manifest["catboost_version"] == "1.2.10"
    assert manifest["target"] == {"column": "outcome", "positive_class": "Decline"}
    assert manifest["scorecard"] == {"pdo": 20.0, "target_score": 600.0, "target_odds": 30.0}
    assert (manifest["training"]["rows"], manifest["training"]["validation_rows"]) == (450, 150)
    assert (manifest["training"]["trees"], manifest["training"]["depth"]) == (25, 4)
    for feature in manifest["features"]:
        own = {"numeric": "median", "one_hot": "category"}[feature["kind"]]
        assert set(feature) == {"name", "kind", "source_column", "description", own}


def test_files_are_described_by_hash_and_size(artifact):
    for name, described in artifact.manifest["files"].items():
        content = artifact.entries[name]
        assert described == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert artifact.result["sha256"] == hashlib.sha256(artifact.content).hexdigest()


def test_features_are_in_model_column_order(artifact):
    names = [feature["name"] for feature in artifact.manifest["features"]]
    described = artifact.model["features_info"]["float_features"]
    assert [feature["flat_feature_index"] for feature in described] == list(range(len(names)))
    assert [feature["feature_id"] for feature in described] == names
    assert names == [
        "bureau_score",
        "income",
        "branch=01",
        "branch=1",
        "branch=1.0",
        "branch=2",
        "status=owner",
        'status=says "other", once',
        "status=tenant",
        "status=",
    ]


def test_a_missing_category_has_a_column_of_its_own_and_codes_stay_exact_text(artifact):
    features = {feature["name"]: feature for feature in artifact.manifest["features"]}
    assert features["status="] == {
        "name": "status=",
        "kind": "one_hot",
        "source_column": "status",
        "description": "Status",
        "category": None,
    }
    assert [features[f"branch={code}"]["category"] for code in ("01", "1", "1.0", "2")] == [
        "01",
        "1",
        "1.0",
        "2",
    ]
    assert features["income"]["description"] == "Yearly pay"
    assert features["bureau_score"]["description"] == "Bureau score"


def test_the_median_is_of_the_training_rows_without_the_missing(artifact, table):
    training = [
        value
        for value, part in zip(table["income"], table["part"], strict=True)
        if part == "Development" and value
    ]
    values = sorted(float32(float(value)) for value in training)
    middle = len(values) // 2
    expected = values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2
    income = next(
        feature for feature in artifact.manifest["features"] if feature["name"] == "income"
    )
    assert income["median"] == pytest.approx(expected, rel=1e-7)


def float32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


def evaluate(model: dict, inputs: list) -> float:
    """Evaluates model.json without CatBoost and without the trainer's own check."""
    columns = model["features_info"]["float_features"]
    total = model["scale_and_bias"][1][0]
    for tree in model["oblivious_trees"]:
        leaf = 0
        for depth, split in enumerate(tree["splits"]):
            value = inputs[split["float_feature_index"]]
            if value is None:
                bit = columns[split["float_feature_index"]]["nan_value_treatment"] == "AsTrue"
            else:
                bit = float(value) > float32(split["border"])
            leaf += 2**depth if bit else 0
        total += model["scale_and_bias"][0] * tree["leaf_values"][leaf]
    return total


def test_golden_rows_follow_from_model_json_alone(artifact):
    rows = artifact.manifest["golden_rows"]
    assert len(rows) == 8
    for row in rows:
        assert len(row["inputs"]) == len(row["shap_values"]) == len(artifact.manifest["features"])
        assert evaluate(artifact.model, row["inputs"]) == pytest.approx(
            row["raw_value"], rel=1e-12, abs=1e-12
        )
        assert row["base_value"] + math.fsum(row["shap_values"]) == pytest.approx(
            row["raw_value"], rel=1e-12, abs=1e-12
        )
        assert row["probability"] == pytest.approx(1 / (1 + math.exp(-row["raw_value"])), rel=1e-12)


def test_golden_rows_cover_missing_values_thresholds_and_infinities(artifact):
    names = [feature["name"] for feature in artifact.manifest["features"]]
    rows = [
        dict(zip(names, row["inputs"], strict=True)) for row in artifact.manifest["golden_rows"]
    ]
    assert any(
        row["income"] is None and row["status="] == 1.0 and row["status=owner"] == 0.0
        for row in rows
    )
    assert all(row["bureau_score"] is not None for row in rows), (
        "the model never saw a missing bureau score"
    )
    assert any(row["bureau_score"] == "inf" and row["income"] == "-inf" for row in rows)
    borders = artifact.model["features_info"]["float_features"][0]["borders"]
    assert any(row["bureau_score"] in map(float32, borders) for row in rows)
    for row in rows:
        finite = [value for value in row.values() if isinstance(value, float)]
        assert finite == [float32(value) for value in finite]


@pytest.mark.parametrize("nan_mode", ["Min", "Max"])
def test_either_treatment_of_missing_values(run_training, table, nan_mode):
    artifact = run_training(
        table, "--features", "bureau_score,income", "--param", f"nan_mode={nan_mode}"
    )
    treatment = artifact.model["features_info"]["float_features"][1]["nan_value_treatment"]
    assert treatment == {"Min": "AsFalse", "Max": "AsTrue"}[nan_mode]
    row = next(row for row in artifact.manifest["golden_rows"] if None in row["inputs"])
    assert evaluate(artifact.model, row["inputs"]) == pytest.approx(row["raw_value"], rel=1e-12)


def test_a_starting_value_is_exported_and_checked(run_training, table):
    artifact = run_training(
        table, "--features", "bureau_score,income", "--param", "boost_from_average=true"
    )
    assert artifact.model["scale_and_bias"][1][0] < 0
    row = artifact.manifest["golden_rows"][0]
    assert evaluate(artifact.model, row["inputs"]) == pytest.approx(row["raw_value"], rel=1e-12)


def test_the_same_data_gives_the_same_bytes_in_another_process_and_directory(tmp_path, table):
    """Only created_at may differ, and SOURCE_DATE_EPOCH fixes that."""
    train = str(Path(__file__).resolve().parents[1] / "train.py")
    contents = []
    for place, hash_seed in (("one", "1"), ("two", "2")):
        directory = tmp_path / place
        directory.mkdir()
        data = write_csv(directory / "table.csv", table)
        options = required(data, directory / "model.tar.gz")
        if place == "two":
            # Showing the progress changes nothing.
            options.remove("--quiet")
        command = [sys.executable, train, *options, "--json"]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "1790000000", "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, check=True
        )
        assert json.loads(done.stdout)["created_at"] == "2026-09-21T14:13:20Z"
        assert sorted(path.name for path in directory.iterdir()) == ["model.tar.gz", "table.csv"]
        contents.append((directory / "model.tar.gz").read_bytes())
    assert contents[0] == contents[1]
