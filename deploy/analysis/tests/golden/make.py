"""Writes sklearn.json: what scikit-learn says about outcomes that the crate measures too.

.local/venvs/training/bin/python deploy/analysis/tests/golden/make.py
"""

import json
from pathlib import Path

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

HERE = Path(__file__).resolve().parent


def case(name: str, bad: np.ndarray, raw: np.ndarray) -> dict:
    probability = 1.0 / (1.0 + np.exp(-raw))
    false_positive, true_positive, _ = roc_curve(bad, raw, drop_intermediate=False)
    observed, predicted = calibration_curve(bad, probability, n_bins=10, strategy="quantile")
    return {
        "name": name,
        "bad": bad.astype(int).tolist(),
        "raw": raw.tolist(),
        "probability": probability.tolist(),
        "gini": 2.0 * roc_auc_score(bad, raw) - 1.0,
        "ks": float(np.max(true_positive - false_positive)),
        "brier": float(brier_score_loss(bad, probability)),
        "predicted": predicted.tolist(),
        "observed": observed.tolist(),
    }


def main() -> None:
    random = np.random.default_rng(20261130)

    def drawn(size: int, decimals: int | None, slope: float) -> tuple[np.ndarray, np.ndarray]:
        raw = random.normal(-2.0, 1.2, size)
        bad = random.random(size) < 1.0 / (1.0 + np.exp(-slope * raw))
        return bad, raw if decimals is None else raw.round(decimals)

    cases = [
        case("distinct", *drawn(400, None, 1.0)),
        case("ties", *drawn(400, 1, 1.0)),
        case("many ties", *drawn(300, 0, 0.7)),
        case("the wrong way round", *drawn(200, 2, -0.5)),
        case("perfect", np.array([False] * 6 + [True] * 5), np.arange(11) / 4.0 - 2.0),
        case("all alike", np.array([True, False, False, True]), np.full(4, -1.5)),
        case("one bad", np.array([False, True, False]), np.array([-3.0, -2.0, -1.0])),
    ]
    (HERE / "sklearn.json").write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")


if __name__ == "__main__":
    main()
