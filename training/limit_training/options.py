"""The command line of train.py: its options, and their values.

This module imports nothing that is slow to load, so that --help and a wrong command line answer
immediately.
"""

import argparse
import json
from pathlib import Path

from . import names
from .errors import usage_error

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

  # the sample portfolio: limit-increase generates it, calls train.py and uploads the model
  limit-increase train

The positive class is the bad one (default, decline). Probabilities and log-odds are those of the
bad class. An empty field is a missing value, and so are NA, N/A, ?, a point, a dash, null and the
like in a column of numbers. A column with other text in it is a category; it becomes one column of
the model for each of its values.

A second training on the same data with the same options and versions gives the same model files.
Only created_at in the manifest differs. With SOURCE_DATE_EPOCH set, the whole artifact is the same.

exit codes: 0 written, 2 wrong command line, 3 the data cannot be trained on,
            4 the model failed its own checks, 1 any other error, 130 interrupted
"""


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="train.py",
        description="Trains a CatBoost credit model and writes the artifact that the scoring"
        " function loads.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_data(root.add_argument_group("data"))
    _add_scorecard(root.add_argument_group("scorecard"))
    _add_population(root.add_argument_group("population"))
    _add_model(root.add_argument_group("model"))
    _add_output(root.add_argument_group("output"))
    return root


def _add_data(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--data", metavar="FILE", help="CSV file with a header, CSV.gz or Parquet")
    add(
        "--skip-lines",
        type=int,
        default=0,
        metavar="N",
        help="lines above the header that are left out, as a note",
    )
    add("--target", metavar="COLUMN", help="the column with the outcome")
    add("--positive", metavar="VALUE", help="the target's value for the bad class, as written")
    add(
        "--features",
        metavar="A,B,..",
        default="",
        help="columns to use (default: all except target, split, ids and dates); a name with a"
        " comma stands in double quotes",
    )
    add("--exclude", metavar="A,B,..", default="", help="columns not to use")
    add(
        "--categorical",
        metavar="A,B,..",
        default="",
        help="columns of codes that look numeric and are categories",
    )
    add(
        "--special",
        metavar="COL=V:WHY,..",
        action="append",
        default=[],
        help="codes in a column of numbers that mean no number, each with its meaning, as in"
        " score=-9:no bureau record,-8:no usable record; * is every column; may be repeated",
    )
    add("--split-column", metavar="COLUMN", help="the column that says which rows are held out")
    add(
        "--validation-value",
        metavar="VALUE,..",
        default="",
        help="the split column's values for held-out rows (default: the one value that means"
        " validation, test or holdout)",
    )
    add(
        "--descriptions",
        metavar="FILE|COL=TEXT,..",
        default="",
        help="features in plain words, for the reasons that customers read: a file with a JSON"
        " object, or pairs",
    )


def _add_scorecard(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--pdo", type=float, default=20.0, help="points that double the odds (default 20)")
    add(
        "--target-score",
        type=float,
        default=600.0,
        help="score at the target odds (default 600)",
    )
    add(
        "--target-odds",
        type=float,
        default=30.0,
        help="good:bad odds at that score (default 30)",
    )


def _add_population(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--population-bad-rate",
        metavar="SHARE",
        type=float,
        help="the share of bad customers, as in 0.03, if the file is a sample with more or fewer of"
        " them; it corrects every probability and score",
    )
    add(
        "--minimum-score",
        metavar="POINTS",
        type=int,
        default=650,
        help="the policy's cut-off, for the report's share of approvals (default 650)",
    )


def _add_model(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--iterations", type=int, default=300, help="number of trees (default 300)")
    add("--depth", type=int, default=6, help="depth of each tree, 1 to 16 (default 6)")
    add("--learning-rate", type=float, default=0.04, help="default 0.04")
    add("--l2-leaf-reg", type=float, default=8.0, help="default 8")
    add(
        "--seed",
        type=int,
        default=0,
        help="seed of the training and of the choice of held-out rows (default 0)",
    )
    add(
        "--class-weights",
        metavar="GOOD,BAD",
        help="weights of the classes; they shift the log-odds, and so every score (default: none)",
    )
    add(
        "--param",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="another CatBoost parameter; may be repeated",
    )
    add("--threads", type=int, default=1, help="processors to use (default 1)")


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--output", metavar="FILE.tar.gz", help="where to write the artifact")
    add("--json", action="store_true", help="print the result as one JSON object")
    add("--quiet", action="store_true", help="show no progress")


def descriptions(text: str) -> dict[str, str]:
    if not text:
        return {}
    if "=" not in text or Path(text).is_file():
        try:
            pairs = json.loads(Path(text).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise usage_error(
                f"cannot read --descriptions {text}: {error}",
                'give a JSON file such as {"bureau_score": "Bureau score"}, or pairs:'
                " bureau_score=Bureau score,..",
            ) from error
    else:
        split = [pair.partition("=") for pair in names.split(text)]
        pairs = {name: value.strip() for name, _, value in split}

    complete = isinstance(pairs, dict) and all(
        isinstance(value, str) and value.strip() for value in pairs.values()
    )
    if not complete:
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


def check(options: argparse.Namespace) -> None:
    """Checks what argparse does not: options that are required, or that need each other."""
    if not options.data:
        raise usage_error(
            "--data is missing",
            "give your table with --data, --target and --positive; for the sample portfolio use"
            " `limit-increase train`, which generates it and calls train.py",
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
            "--validation-value needs --split-column", "name the column that has this value"
        )

    rate = options.population_bad_rate
    if rate is not None and not 0 < rate < 1:
        raise usage_error(
            f"--population-bad-rate {rate:g} is not between 0 and 1",
            "give the share of bad customers, for example 0.03",
        )

    for name in ("pdo", "target_odds", "target_score"):
        value = getattr(options, name)
        if not (0 < value < 1e6):
            raise usage_error(
                f"--{name.replace('_', '-')} {value:g} is not a number above 0",
                "the usual card is 20, 600 and 30",
            )
