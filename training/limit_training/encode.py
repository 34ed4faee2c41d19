"""Turns columns of the table into columns of the model.

A number becomes one float32 column. A category becomes one column for each of its values (one-hot).
A model column's name is the source column, or `column=category` for a one-hot column. `column=`
stands for a missing category. The scoring function encodes a customer by the same rules, which it
reads from the manifest.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from .data import Table
from .errors import TrainingError, some_of

MAX_CATEGORIES = 64
MAX_MODEL_COLUMNS = 4_096
# In smaller tables it may be chance that every value differs, or that each value has one class.
IDENTIFIER_MIN_ROWS = 50
LEAK_MIN_CLASS_ROWS = 10
LEAK_MAX_VALUES = 10
IDENTIFIER_NAME = re.compile(
    r"(^|[_\s-])(id|key|no|nr|number|ref|reference|uuid|guid)$", re.IGNORECASE
)
DATE_TEXT = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}")


@dataclass(frozen=True)
class ModelColumn:
    """One column of the model, as the manifest describes it."""

    name: str
    kind: str
    source_column: str
    description: str
    median: float | None = None
    category: str | None = None

    def as_manifest(self) -> dict:
        entry = {
            "name": self.name,
            "kind": self.kind,
            "source_column": self.source_column,
            "description": self.description,
        }
        if self.kind == "numeric":
            return {**entry, "median": self.median}
        return {**entry, "category": self.category}


@dataclass(frozen=True)
class Encoded:
    """The model's input for every row of the table."""

    columns: list[ModelColumn]
    matrix: np.ndarray
    # A mask of the rows that the finished model would refer instead of score.
    unscorable: np.ndarray
    notices: list[str]


@dataclass(frozen=True)
class EncodedSource:
    """One source column, encoded: its model columns, their values, and the unscorable rows."""

    columns: list[ModelColumn]
    values: list[np.ndarray]
    unscorable: np.ndarray


def choose_sources(
    table: Table, target: str, split: str | None, asked: list[str], excluded: list[str]
) -> tuple[list[str], list[str]]:
    """Returns the source columns to train on, and a notice for each column that is left out."""
    for name in excluded:
        table.require(name, "--exclude")
    if asked:
        _check_asked(table, target, split, asked, excluded)
        return asked, []

    notices, chosen = [], []
    for name in table.columns:
        if name in (target, split) or name in excluded:
            continue
        reason = _unsuitable(name, table.values[name])
        if reason:
            notices.append(f"{name} is left out: {reason}. To use it, name it in --features.")
        else:
            chosen.append(name)

    if not chosen:
        raise TrainingError(
            "no column is left to train on",
            where=table.path,
            next_step="name the columns to use with --features",
        )
    return chosen, notices


def _check_asked(
    table: Table, target: str, split: str | None, asked: list[str], excluded: list[str]
) -> None:
    for name, count in Counter(asked).items():
        table.require(name, "--features")
        problem = None
        if count > 1:
            problem = "is named twice"
        elif name == target:
            problem = "is the target: a model cannot use what it shall predict"
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


def _unsuitable(name: str, values: np.ndarray) -> str | None:
    """Why a model should not use the column, if there is a reason."""
    filled = [value for value in values.tolist() if value != ""]
    if not filled:
        return None
    distinct = len(set(filled)) == len(filled) == len(values) >= IDENTIFIER_MIN_ROWS
    text = _first_not_numeric(filled) is not None
    if distinct and (text or IDENTIFIER_NAME.search(name)):
        return "every row has a different value, so it identifies the customer"
    if text and all(DATE_TEXT.fullmatch(value) for value in filled):
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
    """Encodes every row.

    The categories, the medians and the constant columns are learnt from the training rows alone.
    """
    _check_named(table, sources, categorical, descriptions)
    columns, values, notices = [], [], []
    unscorable = np.zeros(table.rows, dtype=bool)
    for source in sources:
        _check_leak(table, source, bad)
        description = descriptions.get(source) or describe(source)
        encoded = _encode_source(table, source, description, training, categorical)
        if isinstance(encoded, str):
            notices.append(f"{source} is left out: {encoded} in every training row.")
            continue

        columns += encoded.columns
        values += encoded.values
        unscorable |= encoded.unscorable
        if encoded.unscorable.any():
            notices.append(
                f"{int(encoded.unscorable.sum()):,} held-out rows have a value of {source} that no"
                " training row has; they are not measured (the nightly run refers such customers)."
            )
    _check_model_columns(table, columns)
    return Encoded(columns, np.column_stack(values).astype(np.float32), unscorable, notices)


def _encode_source(
    table: Table, source: str, description: str, training: np.ndarray, categorical: list[str]
) -> EncodedSource | str:
    """Encodes one source column. A text says instead that it is constant in the training rows."""
    values = table.values[source]
    if len(set(values[training].tolist())) == 1:
        only = values[training][0]
        return f"it is {only!r}" if only else "it is empty"

    if source in categorical or _first_not_numeric(values.tolist()) is not None:
        return _one_hot(table, source, description, training, categorical)

    encoded = _numeric(table, source, description, training)
    # Different texts can be the same number (1 and 1.0). All NaN count as one value.
    if len(np.unique(encoded.values[0][training])) == 1:
        return "it is the same number"
    return encoded


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


def _check_model_columns(table: Table, columns: list[ModelColumn]) -> None:
    if not columns:
        raise TrainingError(
            "no feature varies among the training rows",
            where=table.path,
            next_step="add columns or rows that differ",
        )

    counts = Counter(column.name for column in columns)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise TrainingError(
            f"two model columns would be called {repeated[0]!r}",
            where=table.path,
            next_step="rename the column whose name has an equals sign",
        )

    if len(columns) > MAX_MODEL_COLUMNS:
        raise TrainingError(
            f"the model would have {len(columns):,} columns; the bound is {MAX_MODEL_COLUMNS:,}",
            where=table.path,
            next_step="use fewer features, or group categories",
        )


def _check_leak(table: Table, source: str, bad: np.ndarray) -> None:
    """Refuses a column that gives the outcome away: its model looks perfect and is worthless."""
    classes = Counter(bad.tolist())
    if min(classes[0], classes[1]) < LEAK_MIN_CLASS_ROWS:
        return
    pairs = set(zip(table.values[source].tolist(), bad.tolist(), strict=True))
    if len({value for value, _ in pairs}) == len(pairs) <= LEAK_MAX_VALUES:
        raise TrainingError(
            f"feature {source!r} gives the target away: each of its {len(pairs)} values has only"
            " good or only bad rows",
            where=table.path,
            next_step=f"leave it out: --exclude {source} (or take it out of --features)",
        )


def _numeric(table: Table, source: str, description: str, training: np.ndarray) -> EncodedSource:
    values = table.values[source]
    doubles = np.array([float(value) if value else np.nan for value in values.tolist()])
    with np.errstate(over="ignore"):
        floats = doubles.astype(np.float32)

    infinite = np.flatnonzero(np.isinf(floats))
    if len(infinite):
        raise TrainingError(
            f"{source} is {values[infinite[0]]!r}, which is infinite or too large for a 32-bit"
            " float",
            where=f"{table.path}, data row {infinite[0] + 1} ({len(infinite):,} such rows)",
            next_step="leave the field empty, or write a number below 3.4e38",
        )

    missing = np.isnan(floats)
    known = floats[training & ~missing]
    median = float(np.float32(np.median(known))) if len(known) else None
    unscorable = np.zeros(table.rows, dtype=bool)
    if not missing[training].any():
        # CatBoost has no rule for a missing value if no training row had one. The scoring function
        # refers such a customer.
        unscorable = missing & ~training
    column = ModelColumn(source, "numeric", source, description, median=median)
    return EncodedSource([column], [floats], unscorable)


def _one_hot(
    table: Table, source: str, description: str, training: np.ndarray, asked: list[str]
) -> EncodedSource:
    values = table.values[source]
    counts = Counter(values[training].tolist())
    categories = sorted(value for value in counts if value != "")
    if len(categories) > MAX_CATEGORIES:
        raise TrainingError(
            f"{source} has {len(categories):,} categories; the bound is {MAX_CATEGORIES}",
            where=table.path,
            next_step=_too_many_advice(source, values, asked),
        )

    if "" in counts:
        categories.append("")
    columns = [
        ModelColumn(
            f"{source}={category}", "one_hot", source, description, category=category or None
        )
        for category in categories
    ]
    indicators = [(values == category).astype(np.float32) for category in categories]
    known = np.isin(values, list(counts))
    return EncodedSource(columns, indicators, ~known & ~training)


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
    # float() also accepts underscores and digits of other scripts, which the database refuses.
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
    """A column's name as words for a customer's letter: `bureau_score` gives "Bureau score"."""
    words = re.split(r"[_\s]+", column.strip("_ "))
    text = " ".join(word.lower() if word.istitle() else word for word in words) or column
    return text[0].upper() + text[1:]
