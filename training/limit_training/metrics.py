"""How well the model separates bad from good on the held-out rows, and how right it is."""

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score, roc_curve

BANDS = 10


def sigmoid(raw: np.ndarray) -> np.ndarray:
    """The probability of the bad class from its log-odds.

    The exponent is never positive, so nothing overflows.
    """
    small = np.exp(-np.abs(raw))
    return np.where(raw >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def measure(bad: np.ndarray, raw: np.ndarray, weights: np.ndarray | None = None) -> dict:
    """The figures of the manifest, from the outcome and the raw value of each held-out row.

    With weights, the rows stand for a population that has another share of bad customers. AUC, Gini
    and KS compare the classes and do not depend on it.
    """
    probability = sigmoid(raw)
    auc = float(roc_auc_score(bad, raw))
    false_positive, true_positive, _ = roc_curve(bad, raw)
    return {
        "auc": auc,
        "gini": 2.0 * auc - 1.0,
        "ks": float(np.max(true_positive - false_positive)),
        "log_loss": float(log_loss(bad, probability, labels=[0, 1], sample_weight=weights)),
        "calibration": calibration(bad, probability, weights),
    }


def calibration(
    bad: np.ndarray, probability: np.ndarray, weights: np.ndarray | None = None
) -> list[dict]:
    """The predicted and the observed bad rate in bands of equal size, the safest first."""
    order = np.argsort(probability, kind="stable")
    return [
        {
            "rows": len(band),
            "predicted": _mean(probability, weights, band),
            "observed": _mean(bad, weights, band),
        }
        for band in np.array_split(order, min(BANDS, len(order)))
    ]


def _mean(values: np.ndarray, weights: np.ndarray | None, rows: np.ndarray) -> float:
    if weights is None:
        return float(np.mean(values[rows]))
    return float(np.average(values[rows], weights=weights[rows]))
