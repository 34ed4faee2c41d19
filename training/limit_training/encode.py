"""Turns columns of the table into columns of the model.

A number becomes one float32 column. A category becomes one column for each of its values (one-hot).
A model column's name is the source column, or `column=category` for a one-hot column. `column=`
stands for a missing category. A special value of a number is missing. The scoring function encodes
a customer by the same rules, which it reads from the manifest.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from . import categories as spellings
from . import monotone, spelling
from .data import Table
from .errors import TrainingError
from .names import joined, shown
from .notices import Notices
from .problems import Problems
from .sources import quoted
from .special import Specials
from .values import Profile

MAX_CATEGORIES = 64
MAX_MODEL_COLUMNS = 4_096
# Other texts among numbers, so few that they are exceptions.
FEW_TEXTS = 3


@dataclass(frozen=True)
class ModelColumn:
    """One column of the model, as the manifest describes it."""

    name: str
    kind: str
    source_column: str
    description: str
    median: float | None = None
    category: str | None = None
    # Values that are missing, with the reason that each of them stands for.
    special: dict[float, str] | None = None
    # How the log-odds of bad may move while the number rises: 1 or -1.
    monotone: int | None = None

    def as_manifest(self) -> dict:
        entry = {
            "name": self.name,
            "kind": self.kind,
            "source_column": self.source_column,
            "description": self.description,
        }
        if self.kind == "one_hot":
            return {**entry, "category": self.category}
        entry["median"] = self.median
        if self.special:
            entry["special"] = [
                {"value": value, "meaning": meaning} for value, meaning in self.special.items()
            ]
        if self.monotone:
            entry["monotone"] = self.monotone
        return entry


@dataclass(frozen=True)
class Encoded:
    """The model's input for every row of the table."""

    columns: list[ModelColumn]
    matrix: np.ndarray
    # A mask of the rows that the finished model would refer instead of score.
    unscorable: np.ndarray
    # The steps by which a value of a column of categories is compared with them.
    category_spelling: dict[str, list[str]]

    def constraints(self) -> dict:
        """CatBoost's parameter for the directions; without one, none, as before there were any."""
        directions = [column.monotone or 0 for column in self.columns]
        return {"monotone_constraints": directions} if any(directions) else {}


@dataclass(frozen=True)
class EncodedSource:
    """One source column, encoded: its model columns, their values, and the unscorable rows.

    A source of categories has the steps by which a value is compared with them.
    """

    columns: list[ModelColumn]
    values: list[np.ndarray]
    unscorable: np.ndarray
    steps: list[str] | None = None


class Encoder:
    """Encodes source columns one after the other.

    The categories, the medians and the constant columns are learnt from the training rows alone.
    """

    def __init__(
        self,
        table: Table,
        training: np.ndarray,
        categorical: list[str],
        descriptions: dict[str, str],
        specials: Specials,
        directions: dict[str, int],
        problems: Problems,
        notices: Notices,
    ) -> None:
        self.table = table
        self.training = training
        self.categorical = categorical
        self.descriptions = descriptions
        self.specials = specials
        self.directions = directions
        self.problems = problems
        self.notices = notices
        self._encoded: list[EncodedSource] = []

    def add(self, column: Profile) -> bool:
        """Encodes a source column. Returns whether the model reads it as numbers or categories.

        A column that is constant in the training rows is left out with a notice, and one that
        cannot be encoded is a problem.
        """
        encoded = self._encode(column)
        if isinstance(encoded, str):
            self.notices.add(f"{shown(column.name)} is left out: {encoded} in every training row.")
        if not isinstance(encoded, EncodedSource):
            return False

        if encoded.unscorable.any():
            self.notices.add(
                f"{int(encoded.unscorable.sum()):,} held-out rows have a value of"
                f" {shown(column.name)} that no training row has; they are not measured (the"
                " nightly run refers such customers)."
            )
        self._encoded.append(encoded)
        return True

    def is_numeric(self, column: Profile) -> bool:
        return column.numeric and column.name not in self.categorical

    def finish(self) -> Encoded:
        """The model's columns and the matrix of all rows."""
        columns = [column for source in self._encoded for column in source.columns]
        _check_model_columns(self.table, columns, self.notices)
        unscorable = np.zeros(self.table.rows, dtype=bool)
        for source in self._encoded:
            unscorable |= source.unscorable
        matrix = np.column_stack([values for source in self._encoded for values in source.values])
        steps = {
            source.columns[0].source_column: source.steps
            for source in self._encoded
            if source.steps is not None
        }
        return Encoded(columns, matrix.astype(np.float32), unscorable, steps)

    def _encode(self, column: Profile) -> EncodedSource | str | None:
        """Encodes a column. A text says that it is constant, and None that there is a problem."""
        training = column.values[self.training].tolist()
        if len(set(training)) == 1:
            only = training[0]
            return f"it is {only!r}" if only else "it is empty"
        if not self.is_numeric(column):
            if column.name in self.directions:
                self.problems.add(
                    column.name,
                    f"{column.name} is categories, and --monotone is for numbers",
                    monotone.category_advice(column.name),
                    where="--monotone",
                )
            return self._one_hot(column)

        encoded = self._numeric(column)
        # Different texts can be the same number (1 and 1.0). All NaN count as one value.
        if encoded and len(np.unique(encoded.values[0][self.training])) == 1:
            return "it is the same number"
        return encoded

    def _description(self, name: str) -> str:
        return self.descriptions.get(name) or describe(name)

    def _numeric(self, column: Profile) -> EncodedSource | None:
        doubles = column.floats.copy()
        special = self.specials.of(column)
        if special:
            doubles[np.isin(doubles, list(special))] = np.nan
        with np.errstate(over="ignore"):
            floats = doubles.astype(np.float32)

        infinite = np.flatnonzero(np.isinf(floats))
        if len(infinite):
            self.problems.add(
                column.name,
                f"{column.name} is {column.values[infinite[0]]!r}, which is infinite or too large"
                " for a 32-bit float",
                "leave the field empty, or write a number below 3.4e38",
                where=f"{self.table.path}, data row {infinite[0] + 1}"
                f" ({len(infinite):,} such rows)",
            )
            return None

        missing = np.isnan(floats)
        known = floats[self.training & ~missing]
        median = float(np.float32(np.median(known))) if len(known) else None
        unscorable = np.zeros(self.table.rows, dtype=bool)
        if not missing[self.training].any():
            # CatBoost has no rule for a missing value if no training row had one. The scoring
            # function refers such a customer.
            unscorable = missing & ~self.training
        model_column = ModelColumn(
            column.name,
            "numeric",
            column.name,
            self._description(column.name),
            median=median,
            special=special,
            monotone=self.directions.get(column.name),
        )
        return EncodedSource([model_column], [floats], unscorable)

    def _one_hot(self, column: Profile) -> EncodedSource | None:
        source = column.name
        counts = Counter(column.values[self.training].tolist())
        categories = sorted(value for value in counts if value != "")
        if len(categories) > MAX_CATEGORIES:
            self.problems.add(
                source,
                f"{source} has {len(categories):,} categories; the bound is {MAX_CATEGORIES}",
                _too_many_advice(column, source in self.categorical),
            )
            return None

        steps, merged = spellings.steps_of(categories)
        self.notices.add(spellings.notice(source, merged))
        # Held-out rows are read as the nightly run reads customers.
        values = spellings.respelt(column.values, categories, steps)
        if "" in counts:
            categories.append("")
        description = self._description(source)
        columns = [
            ModelColumn(
                f"{source}={category}", "one_hot", source, description, category=category or None
            )
            for category in categories
        ]
        indicators = [(values == category).astype(np.float32) for category in categories]
        known = np.isin(values, list(counts))
        return EncodedSource(columns, indicators, ~known & ~self.training, steps)


def _check_model_columns(table: Table, columns: list[ModelColumn], notices: Notices) -> None:
    if not columns:
        raise TrainingError(
            "no feature varies among the training rows",
            where=table.path,
            next_step="add columns or rows that differ",
            details=notices.texts(),
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


def _too_many_advice(column: Profile, asked: bool) -> str:
    numbers = column.rows_of(column.numbers)
    others = column.words + column.written
    if not asked and (numbers > sum(others.values()) or len(others) <= FEW_TEXTS):
        return (
            f"it looks numeric apart from {quoted(others)}: write those as empty fields or numbers"
        )
    if not asked and (unit := spelling.unit_of(column.words)):
        text, number = unit
        return (
            f"its texts are numbers with a unit: write {number} for {text!r}, here and in the"
            f" customers' table, or leave the column out: --exclude {joined([column.name])}"
        )
    return (
        "group the rare ones (for example as 'other'), or leave the column out: --exclude"
        f" {joined([column.name])}"
    )


def describe(column: str) -> str:
    """A column's name as words for a customer's letter: `bureau_score` gives "Bureau score"."""
    words = re.split(r"[_\s]+", column.strip("_ "))
    text = " ".join(word.lower() if word.istitle() else word for word in words) or column
    return text[0].upper() + text[1:]
