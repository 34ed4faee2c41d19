"""Columns of the table to columns of the model: numbers as float32, categories as one column per value.

A model column's name is the source column, or `column=category` for a one-hot column; `column=` stands for a missing
category. The scoring function encodes a customer by the same rules, from the manifest.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from .data import Table
from .errors import TrainingError, some_of

MAX_CATEGORIES = 64
MAX_MODEL_COLUMNS = 4_096
# From these sizes on "every value differs" and "every value has one class" stop being chance.
IDENTIFIER_MIN_ROWS = 50
LEAK_MIN_CLASS_ROWS = 10
LEAK_MAX_VALUES = 10
IDENTIFIER_NAME = re.compile(
    r"(^|[_\s-])(id|key|no|nr|number|ref|reference|uuid|guid)$", re.IGNORECASE
)
DATE_TEXT = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}")


@dataclass(frozen=True)
class Feature:
    """One column of the model, as the manifest describes it."""

    name: str
    kind: str
    source_column: str
    description: str
    median: float | None = None
    category: str | None = None

    def as_manifest(self) -> dict:
        entry = {"name": self.name, "kind": self.kind, "source_column": self.source_column}
        entry["description"] = self.description
        entry["median" if self.kind == "numeric" else "category"] = (
            self.median if self.kind == "numeric" else self.category
        )
        return entry


@dataclass(frozen=True)
class Encoded:
    """The model's input for every row of the table, and which rows the finished model would refer instead of score."""

    features: list[Feature]
    matrix: np.ndarray
    unscorable: np.ndarray
    notices: list[str]


def choose_features(
    table: Table, target: str, split: str | None, asked: list[str], excluded: list[str]
):
    """The source columns to train on, and a notice for each one that is left out."""
    for name in excluded:
        table.require(name, "--exclude")
    if asked:
        return _asked_features(table, target, split, asked, excluded), []
    notices, chosen = [], []
    for name in table.columns:
        if name in (target, split) or name in excluded:
            continue
        reason = _not_a_feature(name, table.values[name])
        if reason:
            notices.append(
                f"{name} is left out: {reason}. Name it in --features to use it all the same."
            )
        else:
            chosen.append(name)
    if not chosen:
        raise TrainingError(
            "no column is left to train on",
            where=table.path,
            next_step="name the columns to use with --features",
        )
    return chosen, notices


def _asked_features(
    table: Table, target: str, split: str | None, asked: list[str], excluded: list[str]
) -> list[str]:
    for name, count in Counter(asked).items():
        table.require(name, "--features")
        problem = None
        if count > 1:
            problem = "is named twice"
        elif name == target:
            problem = "is the target: a model cannot use what it is to predict"
        elif name == split:
            problem = "is the split column"
        elif name in excluded:
            problem = "is also in --exclude"
        if problem:
            raise TrainingError(
                f"feature {name!r} {problem}",
                where="--features",
                next_step=f"take {name!r} out of --features",
            )
    return asked


def _not_a_feature(name: str, values: np.ndarray) -> str | None:
    present = [value for value in values.tolist() if value != ""]
    if not present:
        return None
    distinct = len(set(present)) == len(present) == len(values) >= IDENTIFIER_MIN_ROWS
    text = _first_not_numeric(present) is not None
    if distinct and (text or IDENTIFIER_NAME.search(name)):
        return "every row has another value, so it identifies the customer"
    if text and all(DATE_TEXT.fullmatch(value) for value in present):
        return "it holds dates, which are neither numbers nor categories"
    return None


def encode(
    table: Table,
    sources: list[str],
    bad: np.ndarray,
    training: np.ndarray,
    categorical: list[str],
    descriptions: dict[str, str],
) -> Encoded:
    """Encodes every row; what is a category, a median or a constant is learnt from the training rows alone."""
    _check_named(table, sources, categorical, descriptions)
    features, columns, notices = [], [], []
    unscorable = np.zeros(table.rows, dtype=bool)
    for source in sources:
        values = table.values[source]
        _check_leak(table, source, values, bad)
        description = descriptions.get(source) or describe(source)
        if len(set(values[training].tolist())) == 1:
            only = values[training][0]
            what = f"it is {only!r}" if only else "it is empty"
            notices.append(f"{source} is left out: {what} in every training row.")
            continue
        odd = _first_not_numeric(values.tolist())
        if source in categorical or odd is not None:
            new_features, new_columns, unknown = _one_hot(
                table, source, description, training, categorical
            )
        else:
            new_features, new_columns, unknown = _numeric(table, source, description, training)
            # Texts may differ (1, 1.0) where the numbers do not; all NaN count as one value.
            if len(np.unique(new_columns[0][training])) == 1:
                notices.append(
                    f"{source} is left out: it is the same number in every training row."
                )
                continue
        features += new_features
        columns += new_columns
        unscorable |= unknown
        if unknown.any():
            notices.append(
                f"{int(unknown.sum()):,} held-out rows have a value of {source} that no training row has; "
                "they are not measured (the nightly run refers such customers)."
            )
    _check_model_columns(table, features)
    return Encoded(features, np.column_stack(columns).astype(np.float32), unscorable, notices)


def _check_named(
    table: Table, sources: list[str], categorical: list[str], descriptions: dict[str, str]
) -> None:
    for name in categorical:
        table.require(name, "--categorical")
        if name not in sources:
            raise TrainingError(
                f"{name!r} is in --categorical but is not a feature",
                where="--categorical",
                next_step=f"add it to --features, or take it out; features: {some_of(sources)}",
            )
    for name in descriptions:
        table.require(name, "--descriptions")


def _check_model_columns(table: Table, features: list[Feature]) -> None:
    if not features:
        raise TrainingError(
            "no feature varies among the training rows",
            where=table.path,
            next_step="add columns or rows that differ",
        )
    repeated = [
        name for name, count in Counter(feature.name for feature in features).items() if count > 1
    ]
    if repeated:
        raise TrainingError(
            f"two model columns would be called {repeated[0]!r}",
            where=table.path,
            next_step="rename the column whose name holds an equals sign",
        )
    if len(features) > MAX_MODEL_COLUMNS:
        raise TrainingError(
            f"the model would have {len(features):,} columns; the bound is {MAX_MODEL_COLUMNS:,}",
            where=table.path,
            next_step="use fewer features, or group categories",
        )


def _check_leak(table: Table, source: str, values: np.ndarray, bad: np.ndarray) -> None:
    """A column that gives the outcome away makes a model that looks perfect and is worthless."""
    classes = Counter(bad.tolist())
    if min(classes[0], classes[1]) < LEAK_MIN_CLASS_ROWS:
        return
    pairs = set(zip(values.tolist(), bad.tolist(), strict=True))
    if len({value for value, _ in pairs}) == len(pairs) <= LEAK_MAX_VALUES:
        raise TrainingError(
            f"feature {source!r} gives the target away: each of its {len(pairs)} values has good or bad rows only",
            where=table.path,
            next_step=f"leave it out: --exclude {source} (or take it out of --features)",
        )


def _numeric(table: Table, source: str, description: str, training: np.ndarray):
    values = table.values[source]
    doubles = np.array([float(value) if value else np.nan for value in values.tolist()])
    with np.errstate(over="ignore"):
        floats = doubles.astype(np.float32)
    endless = np.flatnonzero(np.isinf(floats))
    if len(endless):
        raise TrainingError(
            f"{source} is {values[endless[0]]!r}, which is infinite or too large for a 32-bit float",
            where=f"{table.path}, data row {endless[0] + 1} ({len(endless):,} such rows)",
            next_step="leave the field empty, or write a number below 3.4e38",
        )
    missing = np.isnan(floats)
    present = floats[training & ~missing]
    median = float(np.float32(np.median(present))) if len(present) else None
    # Without a missing value among the training rows, CatBoost has no rule for one: such a customer is referred.
    unknown = (
        missing & ~training if not missing[training].any() else np.zeros(table.rows, dtype=bool)
    )
    return [Feature(source, "numeric", source, description, median=median)], [floats], unknown


def _one_hot(table: Table, source: str, description: str, training: np.ndarray, asked: list[str]):
    values = table.values[source]
    counts = Counter(values[training].tolist())
    categories = sorted(value for value in counts if value != "")
    if len(categories) > MAX_CATEGORIES:
        raise TrainingError(
            f"{source} has {len(categories):,} categories; the bound is {MAX_CATEGORIES}",
            where=table.path,
            next_step=_too_many_advice(source, values, asked),
        )
    features, columns = [], []
    for category in categories + ([""] if "" in counts else []):
        name = f"{source}={category}"
        features.append(Feature(name, "one_hot", source, description, category=category or None))
        columns.append((values == category).astype(np.float32))
    known = np.isin(values, list(counts))
    return features, columns, ~known & ~training


def _too_many_advice(source: str, values: np.ndarray, asked: list[str]) -> str:
    numbers = [value for value in values.tolist() if value != "" and _is_number(value)]
    others = Counter(value for value in values.tolist() if value != "" and not _is_number(value))
    if source not in asked and len(numbers) > 10 * sum(others.values()):
        listed = some_of([f"{value!r} ({count:,} rows)" for value, count in others.most_common(3)])
        return f"it looks numeric apart from {listed}: write those as empty fields or numbers"
    return (
        f"group the rare ones (for example as 'other'), or leave the column out: --exclude {source}"
    )


def _is_number(value: str) -> bool:
    # float() also takes digit separators and digits of other scripts, which the database does not.
    if "_" in value or not value.isascii():
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True


def _first_not_numeric(values: list[str]) -> str | None:
    return next((value for value in values if value and not _is_number(value)), None)


def describe(column: str) -> str:
    """`bureau_score` reads "Bureau score" in a letter to a customer."""
    words = re.split(r"[_\s]+", column.strip("_ "))
    text = " ".join(word.lower() if word.istitle() else word for word in words) or column
    return text[0].upper() + text[1:]
