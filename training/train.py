"""Trains the credit model on a table of customers and writes the model artifact (tar.gz).

Run `train.py --help` for the options and examples.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from limit_training.errors import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_UNEXPECTED,
    TrainingError,
    usage_error,
)

EXAMPLES = """\
examples:
  # your own table: the bad class is Decline, the split column says which rows are held out
  train.py --data applications.csv.gz --target Final_Decision --positive Decline \\
           --split-column split --output model.tar.gz

  # chosen features, a coded column as a category, texts for letters to customers
  train.py --data loans.csv --target defaulted --positive 1 \\
           --features bureau_score,utilisation,branch_code --categorical branch_code \\
           --descriptions 'bureau_score=Bureau score,utilisation=Share of the limit in use' \\
           --output model.tar.gz

  # the sample portfolio: the limit-increase command generates it, calls train.py and uploads the model
  limit-increase train

The positive class is the bad one (default, decline); probabilities and log-odds are those of the bad class.
Empty fields are missing values. A column with text in it is a category and becomes one column per value.
Training again on the same data with the same options and version gives the same model files; only the manifest's
created_at differs. Set SOURCE_DATE_EPOCH to fix that too, and the artifact is the same to the byte.

exit codes: 0 written, 2 wrong command line, 3 the data cannot be trained on, 4 the model failed its own checks,
            1 anything else, 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="train.py",
        description="Trains a CatBoost credit model and writes the artifact that the scoring function loads.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    data = root.add_argument_group("data")
    data.add_argument("--data", metavar="FILE", help="CSV file with a header, or CSV.gz")
    data.add_argument("--target", metavar="COLUMN", help="the column with the outcome")
    data.add_argument(
        "--positive",
        metavar="VALUE",
        help="the target's value for the bad class, exactly as written",
    )
    data.add_argument(
        "--features",
        metavar="A,B,..",
        default="",
        help="columns to use (default: all but target, split, ids and dates)",
    )
    data.add_argument("--exclude", metavar="A,B,..", default="", help="columns not to use")
    data.add_argument(
        "--categorical",
        metavar="A,B,..",
        default="",
        help="columns of codes to read as categories though they look numeric",
    )
    data.add_argument(
        "--split-column", metavar="COLUMN", help="the column that says which rows are held out"
    )
    data.add_argument(
        "--validation-value",
        metavar="VALUE,..",
        default="",
        help="its values for held-out rows (default: the one that reads validation, test or holdout)",
    )
    data.add_argument(
        "--descriptions",
        metavar="FILE|COL=TEXT,..",
        default="",
        help="features in plain words, for the reasons that customers read: a JSON object in a file, or pairs",
    )
    card = root.add_argument_group("scorecard")
    card.add_argument(
        "--pdo", type=float, default=20.0, help="points that double the odds (default 20)"
    )
    card.add_argument(
        "--target-score", type=float, default=600.0, help="score at the target odds (default 600)"
    )
    card.add_argument(
        "--target-odds", type=float, default=30.0, help="good:bad odds at that score (default 30)"
    )
    model = root.add_argument_group("model")
    model.add_argument("--iterations", type=int, default=300, help="trees (default 300)")
    model.add_argument(
        "--depth", type=int, default=6, help="depth of each tree, 1 to 16 (default 6)"
    )
    model.add_argument("--learning-rate", type=float, default=0.04, help="default 0.04")
    model.add_argument("--l2-leaf-reg", type=float, default=8.0, help="default 8")
    model.add_argument(
        "--seed", type=int, default=0, help="for the training and the held-out rows (default 0)"
    )
    model.add_argument(
        "--class-weights",
        metavar="GOOD,BAD",
        help="weights of the classes; they shift the log-odds, and so every score (default: none)",
    )
    model.add_argument(
        "--param",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="another CatBoost parameter",
    )
    model.add_argument("--threads", type=int, default=1, help="processors to use (default 1)")
    output = root.add_argument_group("output")
    output.add_argument("--output", metavar="FILE.tar.gz", help="where to write the artifact")
    output.add_argument("--json", action="store_true", help="print the outcome as one JSON object")
    output.add_argument("--quiet", action="store_true", help="no progress")
    return root


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def descriptions(text: str) -> dict[str, str]:
    if not text:
        return {}
    if "=" not in text or Path(text).is_file():
        try:
            pairs = json.loads(Path(text).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise usage_error(
                f"cannot read --descriptions {text}: {error}",
                'give a JSON file such as {"bureau_score": "Bureau score"}, or pairs: bureau_score=Bureau score,..',
            ) from error
    else:
        split = [pair.partition("=") for pair in text.split(",")]
        pairs = {name.strip(): value.strip() for name, _, value in split}
    good = isinstance(pairs, dict) and all(
        isinstance(value, str) and value.strip() for value in pairs.values()
    )
    if not good:
        raise usage_error(
            "--descriptions has an entry without a text",
            "write column=Text for each, or a JSON object",
        )
    return pairs


def class_weights(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        good, bad = (float(part) for part in text.split(","))
    except ValueError as error:
        raise usage_error(
            f"--class-weights {text!r} is not two numbers", "for example --class-weights 1,5"
        ) from error
    return good, bad


def parameters(pairs: list[str]) -> dict:
    parsed = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise usage_error(
                f"--param {pair!r} is not NAME=VALUE", "for example --param random_strength=2"
            )
        try:
            parsed[name.strip()] = json.loads(value)
        except ValueError:
            parsed[name.strip()] = value
    return parsed


def check_options(options: argparse.Namespace) -> None:
    if not options.data:
        raise usage_error(
            "--data is missing",
            "give your table with --data, --target and --positive; for the sample portfolio use `limit-increase train`,"
            " which generates it and calls train.py",
        )
    for name in ("target", "positive", "output"):
        if not getattr(options, name):
            raise usage_error(f"--{name} is missing", "see the examples in train.py --help")
    if not options.output.endswith((".tar.gz", ".tgz")):
        raise usage_error(
            f"--output {options.output} does not end in .tar.gz", "the artifact is a tar.gz file"
        )
    if options.validation_value and not options.split_column:
        raise usage_error(
            "--validation-value needs --split-column", "name the column whose value it is"
        )
    for name in ("pdo", "target_odds", "target_score"):
        value = getattr(options, name)
        option = name.replace("_", "-")
        if not (0 < value < 1e6):
            raise usage_error(
                f"--{option} {value:g} is not a number above 0", "the usual card is 20, 600 and 30"
            )


def run(options: argparse.Namespace) -> dict:
    check_options(options)
    texts = descriptions(options.descriptions)
    # CatBoost and scikit-learn take seconds to load; --help and a wrong command line should not wait for them.
    try:
        from limit_training import artifact, data, encode, fit, golden, metrics, report, selfcheck
    except ImportError as error:
        raise TrainingError(
            f"the Python package {error.name} is not installed",
            where=sys.executable,
            next_step="install training/requirements.txt into it, or use `limit-increase train`, which does",
            exit_code=EXIT_UNEXPECTED,
        ) from error

    settings = fit.Settings(
        iterations=options.iterations,
        depth=options.depth,
        learning_rate=options.learning_rate,
        l2_leaf_reg=options.l2_leaf_reg,
        seed=options.seed,
        threads=options.threads,
        class_weights=class_weights(options.class_weights),
        params=parameters(options.param),
    )
    settings.check()
    moment = artifact.created_at()

    table = data.read_table(options.data)
    bad, good_values = data.read_target(table, options.target, options.positive)
    held_out = data.hold_out(
        table, bad, options.split_column, names(options.validation_value), options.seed
    )
    sources, notices = encode.choose_features(
        table, options.target, options.split_column, names(options.features), names(options.exclude)
    )
    encoded = encode.encode(table, sources, bad, ~held_out, names(options.categorical), texts)
    measured = held_out & ~encoded.unscorable
    if len(set(bad[measured].tolist())) < 2:
        raise TrainingError(
            "the held-out rows that can be scored are all of one class",
            where=table.path,
            next_step="hold out more rows, or group categories that only held-out rows have",
        )
    model = fit.train(encoded, bad, ~held_out, measured, settings, quiet=options.quiet)

    files, saved = artifact.export(model)
    raw = saved.predict(encoded.matrix, prediction_type="RawFormulaVal")
    float_features = json.loads(files["model.json"])["features_info"]["float_features"]
    inputs = golden.golden_inputs(
        encoded.features, encoded.matrix[~held_out], raw[~held_out], float_features
    )
    measures = metrics.measure(bad[measured], raw[measured])
    manifest = {
        "schema_version": artifact.SCHEMA_VERSION,
        "model_name": artifact.MODEL_NAME,
        "created_at": moment,
        "catboost_version": fit.catboost.__version__,
        "target": {"column": options.target, "positive_class": options.positive},
        "features": [feature.as_manifest() for feature in encoded.features],
        "scorecard": {
            "pdo": options.pdo,
            "target_score": options.target_score,
            "target_odds": options.target_odds,
        },
        "training": {
            "rows": int((~held_out).sum()),
            "validation_rows": int(measured.sum()),
            "trees": saved.tree_count_,
            "depth": settings.depth,
            "bad_rate": float(bad[~held_out].mean()),
            **measures,
        },
        "files": artifact.describe_files(files),
        "golden_rows": golden.golden_rows(saved, inputs),
    }
    checked = measured.nonzero()[0][:2_000]
    difference = selfcheck.check_files(files, manifest, encoded.matrix[checked], raw[checked])
    content = artifact.pack(files, manifest)
    artifact.write_whole(options.output, content)
    judgements = [
        report.class_weight_notice(settings, options.pdo),
        report.suspicious_notice(measures["auc"]),
    ]
    return {
        "output": options.output,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "source_columns": len({feature.source_column for feature in encoded.features}),
        "good_values": good_values,
        **{
            key: manifest[key]
            for key in (
                "created_at",
                "catboost_version",
                "target",
                "features",
                "scorecard",
                "training",
            )
        },
        "checks": {"onnx_rows": len(checked), "onnx_max_difference": difference},
        "notices": notices + encoded.notices + [notice for notice in judgements if notice],
    }


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        outcome = run(options)
    except TrainingError as error:
        print(error.render(), file=sys.stderr)
        if options.json:
            print(json.dumps(error.as_json()))
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return EXIT_INTERRUPTED
    from limit_training import report

    print(json.dumps(outcome, allow_nan=False) if options.json else report.as_text(outcome))
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
