"""Golden rows: inputs of the model with CatBoost's own answers.

The scoring function evaluates them when it loads the model. It refuses the artifact if one of its
answers differs.
"""

import catboost
import numpy as np

from .encode import ModelColumn


def golden_inputs(
    columns: list[ModelColumn], matrix: np.ndarray, raw: np.ndarray, float_features: list[dict]
) -> np.ndarray:
    """Makes eight rows at the values where an evaluation goes wrong first.

    `matrix` has the training rows and `raw` their raw values. The rows are a typical one, the
    riskiest, the safest, and variants of the typical one: every number at its largest, every number
    at its smallest, everything missing that may be, numbers exactly on a threshold, infinities.
    """
    numeric = np.array([column.kind == "numeric" for column in columns])
    order = np.argsort(raw, kind="stable")
    typical = matrix[order[len(order) // 2]].copy()
    names = ("largest", "smallest", "missing", "threshold", "infinite")
    rows = {name: typical.copy() for name in names}

    for index in np.flatnonzero(numeric):
        known = matrix[~np.isnan(matrix[:, index]), index]
        described = float_features[index]
        borders = described["borders"] or []
        if len(known):
            rows["largest"][index], rows["smallest"][index] = known.max(), known.min()
        if borders:
            rows["threshold"][index] = np.float32(borders[len(borders) // 2])
        if described["nan_value_treatment"] != "AsIs":
            rows["missing"][index] = np.nan
        rows["infinite"][index] = np.inf if index % 2 == 0 else -np.inf

    for index, column in enumerate(columns):
        if column.kind == "one_hot" and column.category is None:
            group = [
                at
                for at, other in enumerate(columns)
                if other.source_column == column.source_column
            ]
            rows["missing"][group] = 0.0
            rows["missing"][index] = 1.0

    riskiest, safest = matrix[order[-1]], matrix[order[0]]
    return np.vstack([typical, riskiest, safest, *rows.values()]).astype(np.float32)


def golden_rows(model: catboost.CatBoost, inputs: np.ndarray) -> list[dict]:
    """The manifest's golden rows: each input with CatBoost's raw value and SHAP values."""
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
    """A float for JSON, which has neither NaN nor infinities."""
    if np.isnan(value):
        return None
    if np.isinf(value):
        return "inf" if value > 0 else "-inf"
    return float(value)


def inputs_of(row: dict) -> list[float]:
    """The inputs of a golden row, as numbers again."""
    return [float("nan") if value is None else float(value) for value in row["inputs"]]
