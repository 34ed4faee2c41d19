"""What the model will do: the points of the held-out rows, and who reaches the policy's cut-off.

Points are linear in log-odds, and log-odds move with the share of bad rows in the training. A file
with more bad rows than the customers have gives everybody too few points.
"""

import math
from dataclasses import dataclass

import numpy as np

from .metrics import sigmoid

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Below this share of approvals, or above the rest, the cut-off and the model do not fit together.
SMALL_SHARE = 0.05
# Few lenders have so many bad customers. A file that has them may be a sample.
MANY_BAD = 0.2
EXAMPLE_RATE = 0.05


@dataclass(frozen=True)
class Scorecard:
    """Points to double the odds, as the scoring function has it."""

    pdo: float
    target_score: float
    target_odds: float

    @property
    def factor(self) -> float:
        return self.pdo / math.log(2)

    def scores(self, raw: np.ndarray) -> np.ndarray:
        """The points of raw values, rounded half away from zero."""
        points = self.target_score - self.factor * (math.log(self.target_odds) + raw)
        return np.sign(points) * np.floor(np.abs(points) + 0.5)


def logit(rate: float) -> float:
    return math.log(rate / (1 - rate))


def intercept(raw: np.ndarray, weights: np.ndarray, rate: float) -> float:
    """What to add to raw values so that their weighed mean probability is this rate."""
    low, high = logit(rate) - float(raw.max()), logit(rate) - float(raw.min())
    # The mean rises with the intercept. 100 halvings are more than a double has digits.
    for _ in range(100):
        middle = (low + high) / 2
        if float(np.average(sigmoid(raw + middle), weights=weights)) < rate:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def population_weights(bad: np.ndarray, rate: float | None) -> np.ndarray | None:
    """Weights with which rows of a sample have the population's bad rate; None without one."""
    if rate is None:
        return None
    sampled = float(bad.mean())
    return np.where(bad == 1, rate / sampled, (1 - rate) / (1 - sampled))


def scores(
    raw: np.ndarray, scorecard: Scorecard, minimum: int | None, weights: np.ndarray | None
) -> dict:
    """The distribution of the held-out scores, and the share of them at the cut-off, if any."""
    points = scorecard.scores(raw)
    weights = np.ones(len(points)) if weights is None else weights
    order = np.argsort(points, kind="stable")
    cumulative = np.cumsum(weights[order]) / weights.sum()
    at = [int(np.searchsorted(cumulative, quantile)) for quantile in QUANTILES]
    found = {
        "lowest": int(points.min()),
        "quantiles": [
            {"share": share, "score": int(points[order[min(index, len(order) - 1)]])}
            for share, index in zip(QUANTILES, at, strict=True)
        ],
        "highest": int(points.max()),
    }
    if minimum is not None:
        found["minimum_score"] = minimum
        found["share_at_or_above"] = float(weights[points >= minimum].sum() / weights.sum())
    return found


def scored_rows(
    points: np.ndarray, held_out: np.ndarray, measured: np.ndarray, weights: np.ndarray | None
) -> str:
    """The held-out rows as CSV: the row's number from 0, its points, and its weight.

    A row that cannot be scored has no points. The weights, if any, have a mean of one.
    """
    if weights is None:
        texts = ["1"] * int(held_out.sum())
    else:
        texts = [f"{weight:.9f}" for weight in weights / weights.mean()]
    lines = [
        f"{row},{int(points[row]) if measured[row] else ''},{weight}"
        for row, weight in zip(held_out.nonzero()[0].tolist(), texts, strict=True)
    ]
    return "\n".join(["row,score,weight", *lines, ""])


def share_notice(found: dict, corrected: float | None) -> str | None:
    """Says that the cut-off and the scores do not fit together."""
    if "minimum_score" not in found:
        return None
    share, minimum = found["share_at_or_above"], found["minimum_score"]
    if SMALL_SHARE <= share <= 1 - SMALL_SHARE:
        return None
    who = "nobody" if share < SMALL_SHARE else "everybody"
    almost = f"{who} is" if share in (0, 1) else f"almost {who} is"
    rate = "" if corrected else ", and whether the file has the bad rate of your customers"
    option = "" if corrected else " (--population-bad-rate)"
    return (
        f"{share:.1%} of the held-out rows have a score of {minimum} or more, the policy's cut-off,"
        f" so {almost} approved. The scores go from {found['lowest']} to {found['highest']}: look"
        " at the policy's minimum score, at the scorecard (--pdo, --target-score,"
        f" --target-odds){rate}{option}."
    )


def correction_notice(bad_rate: float, corrected: float, moved: float, scorecard: Scorecard) -> str:
    """Says what the correction of the intercept did. `moved` is in log-odds."""
    return (
        f"the scores are those of a population with {corrected:.2%} bad customers. The training"
        f" rows have {bad_rate:.2%}, and the correction moved every score by"
        f" {-scorecard.factor * moved:+.0f} points. The log-loss and the calibration weigh the"
        " held-out rows in the same way."
    )


def sample_notice(bad_rate: float, scorecard: Scorecard) -> str | None:
    """Says what a sampled bad rate does to points, where the rate is that of a sample."""
    if bad_rate < MANY_BAD:
        return None
    moved = scorecard.factor * (logit(bad_rate) - logit(EXAMPLE_RATE))
    return (
        f"{bad_rate:.1%} of the training rows are bad. If the file was made with more bad rows than"
        f" your customers have, every score is too low: by {moved:.0f} points, if"
        f" {EXAMPLE_RATE:.0%} of your customers are bad. Give the real share then:"
        f" --population-bad-rate {EXAMPLE_RATE:g}."
    )
