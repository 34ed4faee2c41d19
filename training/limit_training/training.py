"""One training from the table to the artifact: read, encode, fit, check, write."""

import argparse
import hashlib
import json
from dataclasses import dataclass

import catboost
import numpy as np

from . import (
    artifact,
    bounds,
    data,
    encode,
    fit,
    forecast,
    golden,
    metrics,
    monotone,
    profile,
    report,
    selfcheck,
    sources,
    special,
)
from .errors import TrainingError
from .forecast import Scorecard, population_weights
from .notices import Notices
from .options import class_weights, parameters
from .problems import Problems
from .values import profile as column_profile

# The rows on which ONNX Runtime is compared: enough to find a wrong ONNX file, in little time.
MAX_COMPARED_ROWS = 2_000
# The cut-off of the built-in policy.
DEFAULT_MINIMUM_SCORE = 650
# The parts of the manifest that the result shows.
SHOWN = ("created_at", "catboost_version", "target", "features", "scorecard", "training")


@dataclass(frozen=True)
class Outcome:
    """The target's and the split column's names, and what they say of each row."""

    target: str
    split: str | None
    bad: np.ndarray
    held_out: np.ndarray


@dataclass(frozen=True)
class Rows:
    """The table's rows, encoded, and what each of them is used for.

    `bad` is 1 or 0. The masks have an entry for each row: `held_out` rows are not trained on, and
    `measured` rows are those of them that the model can score.
    """

    encoded: encode.Encoded
    bad: np.ndarray
    held_out: np.ndarray
    measured: np.ndarray
    target: str
    positive: str
    good_values: list[str]
    notices: Notices

    @property
    def training(self) -> np.ndarray:
        return ~self.held_out


def train(options: argparse.Namespace, texts: dict[str, str]) -> dict:
    """Trains as the options say, writes the artifact and returns the result for the report.

    `texts` has a description for some of the source columns.
    """
    settings = make_settings(options)
    settings.check()
    # Checked before the training, because SOURCE_DATE_EPOCH may be wrong.
    created_at = artifact.created_at()

    rows = prepare(options, texts)
    nan_mode = settings.params.get("nan_mode", "Min")
    for notice in monotone.missing_notices(rows.encoded, rows.training, nan_mode):
        rows.notices.add(notice)
    model, moved = fit.train(
        rows.encoded, rows.bad, rows.training, rows.measured, settings, quiet=options.quiet
    )

    files, saved = artifact.export(model)
    raw = saved.predict(rows.encoded.matrix, prediction_type="RawFormulaVal")
    manifest = {
        "schema_version": artifact.SCHEMA_VERSION,
        "model_name": artifact.MODEL_NAME,
        "created_at": created_at,
        **describe_options(options, rows),
        "training": training_figures(rows, saved, settings, raw),
        "profile": profile.describe(
            rows.encoded,
            rows.training,
            score_card(options).scores(raw[rows.measured]),
            np.asarray(saved.get_feature_importance()),
        ),
        "files": artifact.describe_files(files),
        "golden_rows": make_golden_rows(rows, files, saved, raw),
    }

    compared = rows.measured.nonzero()[0][:MAX_COMPARED_ROWS]
    difference = selfcheck.check_files(
        files, manifest, rows.encoded.matrix[compared], raw[compared]
    )
    content = artifact.pack(files, manifest)
    artifact.write_whole(options.output, content)

    scores = forecast_scores(options, rows, raw, moved)
    rows.notices.add(report.class_weight_notice(settings, options.pdo))
    rows.notices.add(report.suspicious_notice(manifest["training"]["auc"]))
    return {
        "output": options.output,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "table": {"rows": len(rows.bad), "skip_lines": options.skip_lines},
        "source_columns": len({column.source_column for column in rows.encoded.columns}),
        "good_values": rows.good_values,
        **{name: manifest[name] for name in SHOWN},
        "scores": scores,
        "checks": {"onnx_rows": len(compared), "onnx_max_difference": difference},
        "notices": rows.notices.texts(),
    }


def make_settings(options: argparse.Namespace) -> fit.Settings:
    return fit.Settings(
        iterations=options.iterations,
        depth=options.depth,
        learning_rate=options.learning_rate,
        l2_leaf_reg=options.l2_leaf_reg,
        seed=options.seed,
        threads=options.threads,
        class_weights=class_weights(options.class_weights),
        params=parameters(options.param),
        population_bad_rate=options.population_bad_rate,
    )


def prepare(options: argparse.Namespace, texts: dict[str, str]) -> Rows:
    """Reads the table, chooses the held-out rows and the source columns, and encodes all rows.

    Everything that is wrong with columns is told in one error.
    """
    table = data.read_table(options.data, options.skip_lines)
    target = table.find(options.target, "--target")
    split = table.find(options.split_column, "--split-column") if options.split_column else None
    bad, positive, good_values = data.read_target(table, target, options.positive)
    held_out = data.hold_out(table, bad, split, options.validation_value, options.seed)
    notices, problems = Notices(), Problems(table.path)
    encoded = encode_sources(
        table, Outcome(target, split, bad, held_out), options, texts, problems, notices
    )

    measured = held_out & ~encoded.unscorable
    if len(set(bad[measured].tolist())) < 2:
        raise TrainingError(
            "the held-out rows that can be scored are all of one class",
            where=table.path,
            next_step="hold out more rows, or group categories that only held-out rows have",
        )
    return Rows(encoded, bad, held_out, measured, target, positive, good_values, notices)


def encode_sources(
    table: data.Table,
    outcome: Outcome,
    options: argparse.Namespace,
    texts: dict[str, str],
    problems: Problems,
    notices: Notices,
) -> encode.Encoded:
    """Chooses the source columns and encodes them."""
    sources.nameless_notices(table, notices)
    choice = sources.Choice(table, outcome.target, outcome.split, options, problems)
    descriptions = choice.described(texts)
    specials = special.parse(options.special, table.columns)
    encoder = encode.Encoder(
        table,
        ~outcome.held_out,
        choice.categorical,
        descriptions,
        specials,
        choice.directions,
        problems,
        notices,
    )
    width, used = bounds.RowWidth(table.rows), []
    for name in choice.candidates():
        if choice.is_repeated(name) or choice.is_unreadable(name, notices):
            continue
        column = column_profile(name, table.values[name])
        if reason := choice.left_out(column):
            notices.add(sources.left_out_notice(name, reason))
            continue
        used.append(name)
        if not choice.check(column, outcome.bad, notices):
            continue
        if encoder.add(column):
            numeric = encoder.is_numeric(column)
            width.add(column, numeric)
            if numeric:
                notices.add(special.suspicion(column, specials.of(column)))

    choice.check_categorical(used)
    choice.check_monotone(used)
    problems.check()
    if not used:
        raise sources.nothing_left_error(table, notices)
    width.check(table.path)
    return encoder.finish()


def describe_options(options: argparse.Namespace, rows: Rows) -> dict:
    """The part of the manifest that is known before the training."""
    return {
        "catboost_version": catboost.__version__,
        "target": {"column": rows.target, "positive_class": rows.positive},
        "features": [column.as_manifest() for column in rows.encoded.columns],
        **category_spelling(rows.encoded),
        "scorecard": {
            "pdo": options.pdo,
            "target_score": options.target_score,
            "target_odds": options.target_odds,
        },
    }


def category_spelling(encoded: encode.Encoded) -> dict:
    """The part of the manifest about categories; nothing for a model of numbers alone."""
    steps = encoded.category_spelling
    return {"category_spelling": steps} if steps else {}


def score_card(options: argparse.Namespace) -> Scorecard:
    return Scorecard(options.pdo, options.target_score, options.target_odds)


def training_figures(
    rows: Rows, model: catboost.CatBoost, settings: fit.Settings, raw: np.ndarray
) -> dict:
    return {
        "rows": int(rows.training.sum()),
        "validation_rows": int(rows.measured.sum()),
        "trees": model.tree_count_,
        "depth": settings.depth,
        "bad_rate": float(rows.bad[rows.training].mean()),
        **metrics.measure(
            rows.bad[rows.measured],
            raw[rows.measured],
            population_weights(rows.bad[rows.measured], settings.population_bad_rate),
        ),
    }


def forecast_scores(options: argparse.Namespace, rows: Rows, raw: np.ndarray, moved: float) -> dict:
    """The scores of the held-out rows, with notices about what is unusual in them."""
    card = score_card(options)
    rate, measured = options.population_bad_rate, rows.measured
    minimum = options.minimum_score
    if options.scored_rows:
        held_out = rows.held_out
        weights = population_weights(rows.bad[held_out], rate)
        text = forecast.scored_rows(card.scores(raw), held_out, measured, weights)
        artifact.write_whole(options.scored_rows, text.encode())
    elif minimum is None:
        minimum = DEFAULT_MINIMUM_SCORE
    scores = forecast.scores(
        raw[measured], card, minimum, population_weights(rows.bad[measured], rate)
    )
    bad_rate = float(rows.bad[rows.training].mean())
    if rate is None:
        rows.notices.add(forecast.sample_notice(bad_rate, card))
    else:
        rows.notices.add(forecast.correction_notice(bad_rate, rate, moved, card))
    rows.notices.add(forecast.share_notice(scores, rate))
    return scores


def make_golden_rows(
    rows: Rows, files: dict[str, bytes], model: catboost.CatBoost, raw: np.ndarray
) -> list[dict]:
    float_features = json.loads(files["model.json"])["features_info"]["float_features"]
    training = rows.training
    inputs = golden.golden_inputs(
        rows.encoded.columns, rows.encoded.matrix[training], raw[training], float_features
    )
    return golden.golden_rows(model, inputs)
