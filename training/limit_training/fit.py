"""Trains with CatBoost, and refuses a model that the scoring function cannot evaluate.

The scoring function evaluates symmetric trees on numeric columns with one output. A setting that
asks for anything else is refused before the training starts. The error says what to do instead.
"""

import hashlib
import json
import sys
from dataclasses import dataclass, field
from typing import TextIO

import catboost
import numpy as np

from .encode import Encoded
from .errors import TrainingError, usage_error
from .forecast import intercept, population_weights

# The loader in shared/scoring has the same bounds.
MAX_DEPTH = 16
MAX_ITERATIONS = 10_000
MAX_LEAVES = 2**20

# The CatBoost parameters that --param accepts. Others have an option of their own, or are refused.
ACCEPTED = {
    "bagging_temperature",
    "boost_from_average",
    "bootstrap_type",
    "border_count",
    "feature_border_type",
    "grow_policy",
    "l2_leaf_reg",
    "leaf_estimation_iterations",
    "leaf_estimation_method",
    "loss_function",
    "nan_mode",
    "random_strength",
    "rsm",
    "score_function",
    "subsample",
}
REFUSED = {
    "cat_features": "name the columns in --categorical: the trainer makes one column per category",
    "text_features": "turn the text into numbers or categories in the data first",
    "embedding_features": "write each component of the embedding as a numeric column of its own",
    "auto_class_weights": "give the weights with --class-weights GOOD,BAD",
    "scale_pos_weight": "give the weights with --class-weights GOOD,BAD",
    "class_weights": "give the weights with --class-weights GOOD,BAD",
    "monotone_constraints": "give the directions with --monotone COLUMN=+1 or COLUMN=-1",
    "task_type": (
        "training runs on the processor, because a graphics card's results are not repeatable"
    ),
}
# The only value with which the model can be scored, and what to do instead of another.
REQUIRED = {
    "grow_policy": (
        "SymmetricTree",
        "the scoring function evaluates symmetric trees only; leave grow_policy out",
    ),
    "loss_function": (
        "Logloss",
        "the score needs the log-odds of one bad class; name it with --positive (every other value"
        " counts as good)",
    ),
}


@dataclass(frozen=True)
class Settings:
    """The options of the training, checked by `check` and translated by `for_catboost`."""

    iterations: int = 300
    depth: int = 6
    learning_rate: float = 0.04
    l2_leaf_reg: float = 8.0
    seed: int = 0
    threads: int = 1
    class_weights: tuple[float, float] | None = None
    params: dict = field(default_factory=dict)
    # The share of bad customers, if the training rows are a sample with another share.
    population_bad_rate: float | None = None

    def check(self) -> None:
        if not 1 <= self.depth <= MAX_DEPTH:
            raise usage_error(
                f"--depth {self.depth} is not between 1 and {MAX_DEPTH}", "the usual depth is 6"
            )
        if not 1 <= self.iterations <= MAX_ITERATIONS:
            raise usage_error(
                f"--iterations {self.iterations} is not between 1 and {MAX_ITERATIONS:,}",
                "the usual number is 300",
            )
        leaves = self.iterations * 2**self.depth
        if leaves > MAX_LEAVES:
            raise usage_error(
                f"{self.iterations} trees of depth {self.depth} have {leaves:,} leaves;"
                f" the bound is {MAX_LEAVES:,}",
                "use fewer --iterations or less --depth",
            )
        if not 0 < self.learning_rate <= 1:
            raise usage_error(
                f"--learning-rate {self.learning_rate} is not above 0 and at most 1", "try 0.04"
            )
        if self.l2_leaf_reg < 0:
            raise usage_error(f"--l2-leaf-reg {self.l2_leaf_reg} is negative", "try 8")
        if self.threads < 1:
            raise usage_error(
                f"--threads {self.threads} is below 1", "use 1, or the number of processors"
            )
        if self.seed < 0 or self.seed >= 2**63:
            raise usage_error(f"--seed {self.seed} is out of range", "use a number from 0 up")
        if self.class_weights is not None and min(self.class_weights) <= 0:
            raise usage_error("--class-weights must be above 0", "for example --class-weights 1,5")
        self._check_params()

    def _check_params(self) -> None:
        for name, value in self.params.items():
            if name in REFUSED:
                raise usage_error(f"--param {name} cannot be used", REFUSED[name])
            if name in REQUIRED and value != REQUIRED[name][0]:
                raise usage_error(
                    f"--param {name}={value} makes a model that cannot be scored",
                    REQUIRED[name][1],
                )
            if name not in ACCEPTED:
                raise usage_error(
                    f"--param {name} is not passed on to CatBoost",
                    "use an option of train.py (see --help), or one of:"
                    f" {', '.join(sorted(ACCEPTED))}",
                )

    def for_catboost(self) -> dict:
        settings = {
            "loss_function": "Logloss",
            "grow_policy": "SymmetricTree",
            "iterations": self.iterations,
            "depth": self.depth,
            "learning_rate": self.learning_rate,
            "l2_leaf_reg": self.l2_leaf_reg,
            "random_seed": self.seed,
            "thread_count": self.threads,
            # A starting value would become `base_values` in the ONNX file, and ONNX Runtime adds
            # those to the wrong class.
            "boost_from_average": False,
            # Otherwise CatBoost writes a catboost_info directory into the current directory.
            "allow_writing_files": False,
            "logging_level": "Silent",
            **self.params,
        }
        if self.class_weights is not None:
            settings["class_weights"] = list(self.class_weights)
        return settings


class Progress:
    """CatBoost's callback that shows the iterations on the error stream.

    A terminal gets one line that is rewritten. Anything else gets about ten lines. Whether there is
    a callback is a part of the model's files, so a quiet training has one too.
    """

    def __init__(self, iterations: int, stream: TextIO | None = None, quiet: bool = False) -> None:
        self.iterations = iterations
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.every = max(1, iterations // 10)

    def after_iteration(self, info) -> bool:
        if self.quiet:
            return True
        terminal = self.stream.isatty()
        last = info.iteration == self.iterations
        if terminal or last or info.iteration % self.every == 0:
            held_out = info.metrics["validation"]["Logloss"][-1]
            count = f"{info.iteration}/{self.iterations}"
            text = f"training: {count} trees, log-loss on held-out rows {held_out:.5f}"
            start, end = ("\r", "\n" if last else "") if terminal else ("", "\n")
            print(f"{start}{text}", end=end, file=self.stream, flush=True)
        return True


def train(
    encoded: Encoded,
    bad: np.ndarray,
    training: np.ndarray,
    measured: np.ndarray,
    settings: Settings,
    quiet: bool,
) -> tuple[catboost.CatBoostClassifier, float]:
    """Trains on the training rows. The measured rows only show progress; they choose nothing.

    Returns the model, and what the correction of the intercept added to its raw values.
    """
    names = [column.name for column in encoded.columns]
    described = {**settings.for_catboost(), **encoded.constraints()}
    model = catboost.CatBoostClassifier(**described)
    try:
        model.fit(
            catboost.Pool(encoded.matrix[training], bad[training], feature_names=names),
            eval_set=catboost.Pool(encoded.matrix[measured], bad[measured], feature_names=names),
            use_best_model=False,
            callbacks=[Progress(settings.iterations, quiet=quiet)],
        )
    except (catboost.CatBoostError, TypeError, ValueError) as error:
        raise TrainingError(
            f"CatBoost refused the training: {str(error).strip().splitlines()[-1]}",
            where="CatBoost",
            next_step="check the values of --param, and that features vary in the training rows",
        ) from error

    moved = _correct_intercept(model, encoded.matrix[training], bad[training], settings)
    _make_repeatable(model, encoded, bad, training, settings, described)
    return model, moved


def _correct_intercept(
    model: catboost.CatBoostClassifier, matrix: np.ndarray, bad: np.ndarray, settings: Settings
) -> float:
    """Moves the log-odds from the share of bad rows in the training to that of the population.

    A sample that was drawn by outcome changes the intercept of a model of log-odds, and nothing
    else: G. King and L. Zeng, "Logistic Regression in Rare Events Data" (2001), section 4.1. The
    intercept is the one with which the rows, weighed as the population, have its bad rate on
    average. So class weights are corrected too. Returns what was added.
    """
    rate = settings.population_bad_rate
    weights = population_weights(bad, rate)
    if rate is None or weights is None:
        return 0.0
    raw = model.predict(matrix, prediction_type="RawFormulaVal")
    moved = intercept(raw, weights, rate)
    scale, bias = model.get_scale_and_bias()
    model.set_scale_and_bias(scale, bias + moved)
    return moved


def _make_repeatable(
    model: catboost.CatBoostClassifier,
    encoded: Encoded,
    bad: np.ndarray,
    training: np.ndarray,
    settings: Settings,
    described: dict,
) -> None:
    """Replaces CatBoost's random id and time, so that equal data and settings give equal bytes.

    The id becomes a digest of the training's input. The time is in the manifest's `created_at`.
    """
    if settings.population_bad_rate is not None:
        described = {**described, "population_bad_rate": settings.population_bad_rate}
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    digest.update(encoded.matrix[training].tobytes())
    digest.update(bad[training].tobytes())

    metadata = model.get_metadata()
    metadata["model_guid"] = digest.hexdigest()[:32]
    metadata["train_finish_time"] = ""
