"""Rows with CatBoost's own answers.

The scoring function repeats them when it loads the model, and refuses the artifact if any differs.
"""

import catboost
import numpy as np

from .encode import Feature


def golden_inputs(
    features: list[Feature], matrix: np.ndarray, raw: np.ndarray, float_features: list[dict]
) -> np.ndarray:
    """Eight rows at the places where an evaluation goes wrong first, made from the training rows.

    A typical row, the riskiest and the safest, every number at its largest and at its smallest, everything missing
    that may be missing, numbers exactly on a threshold of the model, and infinities.
    """
    numeric = np.array([feature.kind == "numeric" for feature in features])
    order = np.argsort(raw, kind="stable")
    typical = matrix[order[len(order) // 2]].copy()
    rows = {
        name: typical.copy() for name in ("largest", "smallest", "missing", "threshold", "endless")
    }
    for index in np.flatnonzero(numeric):
        column = matrix[:, index]
        present = column[~np.isnan(column)]
        described = float_features[index]
        borders = described["borders"] or []
        if len(present):
            rows["largest"][index], rows["smallest"][index] = present.max(), present.min()
        if borders:
            rows["threshold"][index] = np.float32(borders[len(borders) // 2])
        if described["nan_value_treatment"] != "AsIs":
            rows["missing"][index] = np.nan
        rows["endless"][index] = np.inf if index % 2 == 0 else -np.inf
    for index, feature in enumerate(features):
        if feature.kind == "one_hot" and feature.category is None:
            group = [
                at
                for at, other in enumerate(features)
                if other.source_column == feature.source_column
            ]
            rows["missing"][group] = 0.0
            rows["missing"][index] = 1.0
    return np.vstack([typical, matrix[order[-1]], matrix[order[0]], *rows.values()]).astype(
        np.float32
    )


def golden_rows(model: catboost.CatBoost, inputs: np.ndarray) -> list[dict]:
    pool = catboost.Pool(inputs, feature_names=model.feature_names_)
    raw = model.predict(pool, prediction_type="RawFormulaVal")
    probability = model.predict(pool, prediction_type="Probability")[:, 1]
    shap = model.get_feature_importance(pool, type="ShapValues")
    return [
        {
            "inputs": [_number(value) for value in inputs[row]],
            "raw_value": float(raw[row]),
            "probability": float(probability[row]),
            "base_value": float(shap[row, -1]),
            "shap_values": [float(value) for value in shap[row, :-1]],
        }
        for row in range(len(inputs))
    ]


def _number(value: np.float32) -> float | str | None:
    """JSON has neither NaN nor infinities."""
    if np.isnan(value):
        return None
    if np.isinf(value):
        return "inf" if value > 0 else "-inf"
    return float(value)


def inputs_of(row: dict) -> list[float]:
    return [float("nan") if value is None else float(value) for value in row["inputs"]]
