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


def measure(bad: np.ndarray, raw: np.ndarray) -> dict:
    """The figures of the manifest, from the outcome and the raw value of each held-out row."""
    probability = sigmoid(raw)
    auc = float(roc_auc_score(bad, raw))
    false_positive, true_positive, _ = roc_curve(bad, raw)
    return {
        "auc": auc,
        "gini": 2.0 * auc - 1.0,
        "ks": float(np.max(true_positive - false_positive)),
        "log_loss": float(log_loss(bad, probability, labels=[0, 1])),
        "calibration": calibration(bad, probability),
    }


def calibration(bad: np.ndarray, probability: np.ndarray) -> list[dict]:
    """The predicted and the observed bad rate in bands of equal size, the safest first."""
    order = np.argsort(probability, kind="stable")
    return [
        {
            "rows": len(band),
            "predicted": float(np.mean(probability[band])),
            "observed": float(np.mean(bad[band])),
        }
        for band in np.array_split(order, min(BANDS, len(order)))
    ]
