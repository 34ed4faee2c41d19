"""Checks the finished files before they are written.

An artifact that the scoring function would refuse is never written.
"""

import json
import math

import numpy as np
import onnx
import onnxruntime

from . import monotone
from .errors import EXIT_SELF_CHECK, TrainingError
from .golden import inputs_of
from .metrics import sigmoid

RAW_TOLERANCE = 1e-9
ONNX_TOLERANCE = 1e-5
SCORABLE_ADVICE = (
    "train symmetric trees on numeric columns with Logloss, as train.py does without --param"
)


def self_check_error(
    what: str, where: str, next_step: str = "please report this with the command you ran"
) -> TrainingError:
    return TrainingError(what, where=where, next_step=next_step, exit_code=EXIT_SELF_CHECK)


def check_scorable(model: dict) -> None:
    """Refuses a model that the scoring function cannot evaluate, by CatBoost's JSON."""
    if "oblivious_trees" not in model:
        raise self_check_error("the model's trees are not symmetric", "model.json", SCORABLE_ADVICE)

    described = model["features_info"]
    for kind in ("categorical_features", "text_features", "embedding_features", "ctrs"):
        if described.get(kind):
            raise self_check_error(
                f"the model uses {kind.replace('_', ' ')}", "model.json", SCORABLE_ADVICE
            )
    if len(model["scale_and_bias"][1]) != 1:
        raise self_check_error(
            "the model has several outputs (multiclass)", "model.json", SCORABLE_ADVICE
        )

    for number, tree in enumerate(model["oblivious_trees"]):
        leaves = 2 ** len(tree.get("splits") or [])
        if not len(tree["leaf_values"]) == len(tree["leaf_weights"]) == leaves:
            raise self_check_error(
                f"tree {number} does not have {leaves} leaf values and weights", "model.json"
            )


def walk(model: dict, inputs: list[float]) -> float:
    """Evaluates model.json without CatBoost, as an independent reader of the same file."""
    treatments = [
        feature["nan_value_treatment"] for feature in model["features_info"]["float_features"]
    ]

    total = 0.0
    for tree in model["oblivious_trees"]:
        leaf = 0
        for bit, split in enumerate(tree.get("splits") or []):
            value = inputs[split["float_feature_index"]]
            if math.isnan(value):
                above = treatments[split["float_feature_index"]] == "AsTrue"
            else:
                above = np.float32(value) > np.float32(split["border"])
            leaf |= int(above) << bit
        total += tree["leaf_values"][leaf]

    scale, (bias,) = model["scale_and_bias"]
    return scale * total + bias


def mean(model: dict) -> float:
    """The mean raw value over the training rows, by leaf weights: where SHAP values start."""
    scale, (bias,) = model["scale_and_bias"]
    means = (
        np.average(tree["leaf_values"], weights=tree["leaf_weights"])
        for tree in model["oblivious_trees"]
    )
    return scale * math.fsum(means) + bias


def check_golden(model: dict, rows: list[dict]) -> None:
    """Compares CatBoost's answers with our own reading of model.json and with each other."""
    base = mean(model)
    for number, row in enumerate(rows):
        expected = row["raw_value"]
        explained = math.fsum(row["shap_values"]) + row["base_value"]
        for name, value in (
            ("model.json", walk(model, inputs_of(row))),
            ("its SHAP values", explained),
            ("the base value", base + expected - row["base_value"]),
        ):
            if abs(value - expected) > RAW_TOLERANCE * max(1.0, abs(expected)):
                raise self_check_error(
                    f"golden row {number}: CatBoost gives {expected}, {name} {value}", "golden rows"
                )

        if abs(float(sigmoid(np.float64(expected))) - row["probability"]) > RAW_TOLERANCE:
            raise self_check_error(
                f"golden row {number}: probability {row['probability']} does not fit the raw value",
                "golden rows",
            )


def check_onnx_structure(content: bytes, model: dict, columns: int) -> None:
    """Checks that the ONNX is one tree ensemble with these columns and model.json's leaves."""
    graph = onnx.load_model_from_string(content).graph
    operators = [node.op_type for node in graph.node]
    if operators[:1] != ["TreeEnsembleClassifier"]:
        raise self_check_error(
            f"operators are {operators}, not a TreeEnsembleClassifier first", "model.onnx"
        )

    width = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    if width != columns:
        raise self_check_error(
            f"it takes {width} columns, the manifest has {columns}", "model.onnx"
        )

    attributes = {attribute.name: attribute for attribute in graph.node[0].attribute}
    leaves = sum(1 for mode in attributes["nodes_modes"].strings if mode == b"LEAF")
    expected = sum(len(tree["leaf_values"]) for tree in model["oblivious_trees"])
    if leaves != expected:
        raise self_check_error(f"it has {leaves:,} leaves, model.json {expected:,}", "model.onnx")


def check_onnx_answers(content: bytes, model: dict, matrix: np.ndarray, raw: np.ndarray) -> float:
    """Returns the largest difference between ONNX Runtime's probability and CatBoost's."""
    content, bias = _without_base_values(content, model)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (answers,) = session.run(["probabilities"], {session.get_inputs()[0].name: matrix})
    probabilities = np.array([answer[1] for answer in answers])

    difference = float(np.max(np.abs(probabilities - sigmoid(raw - bias))))
    if not difference <= ONNX_TOLERANCE:
        raise self_check_error(
            f"ONNX differs from CatBoost by {difference:.3g} in probability", "model.onnx"
        )
    return difference


def _without_base_values(content: bytes, model: dict) -> tuple[bytes, float]:
    """Checks `base_values` and takes them out of the ONNX. Returns the ONNX and the bias.

    ONNX Runtime adds those of a binary ensemble to the wrong class.
    """
    (bias,) = model["scale_and_bias"][1]
    onnx_model = onnx.load_model_from_string(content)
    node = onnx_model.graph.node[0]
    found = [attribute for attribute in node.attribute if attribute.name == "base_values"]
    if not found:
        if bias != 0.0:
            raise self_check_error(
                f"model.json has bias {bias}, the ONNX has no base_values", "model.onnx"
            )
        return content, 0.0

    if not np.allclose(list(found[0].floats), [-bias, bias], rtol=1e-6):
        raise self_check_error(
            f"base_values {list(found[0].floats)} do not fit the bias {bias}", "model.onnx"
        )
    node.attribute.remove(found[0])
    return onnx_model.SerializeToString(), bias


def check_files(
    files: dict[str, bytes], manifest: dict, matrix: np.ndarray, raw: np.ndarray
) -> float:
    """Runs all checks. Returns the largest difference of a probability that ONNX Runtime gives.

    `matrix` has the inputs on which ONNX Runtime is compared, and `raw` CatBoost's raw values.
    """
    model = json.loads(files["model.json"])
    check_scorable(model)
    names = [feature["feature_id"] for feature in model["features_info"]["float_features"]]
    if names != [feature["name"] for feature in manifest["features"]]:
        raise self_check_error(
            "the manifest's features are not the model's columns in order", "manifest.json"
        )

    if found := monotone.violation(model, manifest["features"]):
        raise self_check_error(found, "model.json")

    check_golden(model, manifest["golden_rows"])
    check_onnx_structure(files["model.onnx"], model, len(manifest["features"]))
    return check_onnx_answers(files["model.onnx"], model, matrix, raw)
