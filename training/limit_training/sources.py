"""Which columns of the table the model is trained on, and why the others are not."""

import argparse
from collections import Counter

import numpy as np

from . import bounds, dates, identifiers, leaks, sensitive, spelling
from .data import Table
from .errors import TrainingError, some_of
from .names import choose as choose_names
from .names import joined, shown
from .notices import Notices
from .problems import Problems
from .values import Profile

# Other texts in a column of numbers, so few that they are exceptions and not categories.
FEW_WORDS = 3
LEAST_NUMBERS = 2
LISTED = 3


class Choice:
    """The choice of source columns, by the options and by what the columns hold."""

    def __init__(
        self,
        table: Table,
        target: str,
        split: str | None,
        options: argparse.Namespace,
        problems: Problems,
    ) -> None:
        self.table = table
        self.target = target
        self.split = split
        self.problems = problems
        self.excluded = self._names(options.exclude, "--exclude")
        self.asked = self._names(options.features, "--features")
        self.categorical = self._names(options.categorical, "--categorical")

    def _names(self, text: str, option: str) -> list[str]:
        found, unknown = choose_names(text, self.table.columns)
        for name in unknown:
            self.problems.add(
                name,
                f"there is no column {name!r} ({option})",
                f"use one of the file's columns: {some_of(map(shown, self.table.columns))}",
            )
        return found

    def described(self, texts: dict[str, str]) -> dict[str, str]:
        """The descriptions, by the exact names of their columns."""
        described = {}
        for name, text in texts.items():
            for found in self._names(name, "--descriptions"):
                described[found] = text
        return described

    def candidates(self) -> list[str]:
        """The columns that --features names, or all that no option takes out."""
        if not self.asked:
            taken = {self.target, self.split, *self.excluded}
            return [name for name in self.table.columns if name not in taken]

        for name, count in Counter(self.asked).items():
            problem = None
            if count > 1:
                problem = "is named twice"
            elif name == self.target:
                problem = "is the target: a model cannot use what it shall predict"
            elif name == self.split:
                problem = "is the split column"
            elif name in self.excluded:
                problem = "is also in --exclude"
            if problem:
                self.problems.add(
                    name,
                    f"feature {name!r} {problem}",
                    f"take {name!r} out of --features",
                    where="--features",
                )
        return list(dict.fromkeys(self.asked))

    def left_out(self, column: Profile) -> str | None:
        """Why a model should not use the column, if there is a reason and nobody asked for it."""
        if self.asked:
            return None
        kind = dates.kind_of(column) if column.name not in self.categorical else None
        if kind:
            return f"it holds {kind}, which are neither numbers nor categories"
        return identifiers.reason(column)

    def check_categorical(self, sources: list[str]) -> None:
        for name in self.categorical:
            if name not in sources and name not in self.table.repeated:
                self.problems.add(
                    name,
                    f"{name!r} is in --categorical but is not a feature",
                    "add it to --features, or take it out; features:"
                    f" {some_of(map(shown, sources))}",
                    where="--categorical",
                )

    def check(self, column: Profile, bad: np.ndarray, notices: Notices) -> bool:
        """Adds what is wrong with a column that is used, and what a person should know of it.

        Returns whether the column can be encoded.
        """
        name = column.name
        bounds.check_name(name, self.problems)
        if leak := leaks.reason(column, bad):
            self._leak(name, leak, notices)
        else:
            notices.add(leaks.suspicion(column, bad))
        notices.add(sensitive.notice(name))
        return name in self.categorical or self._check_texts(column, notices)

    def is_repeated(self, name: str) -> bool:
        """Whether the header has the name more than once, which is a problem of a column."""
        positions = self.table.repeated.get(name)
        if positions:
            self.problems.add(
                name,
                f"the header names a column twice: {name} (columns"
                f" {', '.join(str(position) for position in positions)})",
                "give every column a different name, or leave them out: --exclude"
                f" {joined([name])}",
                where=f"{self.table.path}, line {self.table.header_line}",
            )
        return positions is not None

    def is_unreadable(self, name: str, notices: Notices) -> bool:
        """Whether a column of a Parquet file holds neither numbers nor texts.

        That is a problem if somebody asked for the column.
        """
        if name not in self.table.unreadable:
            return False
        what = self.table.what_it_holds(name)
        if name in self.asked or name in self.categorical:
            self.problems.add(
                name,
                what,
                "write the column as numbers or as text, or take it out of --features",
            )
        else:
            notices.add(f"{shown(name)} is left out: {what}.")
        return True

    def _leak(self, name: str, leak: str, notices: Notices) -> None:
        if self.asked:
            notices.add(
                f"{shown(name)} gives the target away: {leak}. It is used because --features names"
                " it. The figures above are worth nothing if it is known only after the outcome."
            )
            return
        self.problems.add(
            name,
            f"feature {name!r} gives the target away: {leak}",
            f"leave it out: --exclude {joined([name])} (or, to use it all the same, name it in"
            " --features)",
        )

    def _check_texts(self, column: Profile, notices: Notices) -> bool:
        if column.numeric:
            notices.add(missing_notice(column))
        elif column.written and _looks_numeric(column):
            what, advice = spelling.advice(column.written)
            first = int(np.argmax(np.isin(column.values, list(column.written))))
            self.problems.add(
                column.name,
                f"{shown(column.name)} has numbers with {what}, for example"
                f" {next(iter(column.written))!r} ({sum(column.written.values()):,} rows)",
                f"{advice}; the same in the customers' table. To use its texts as categories, name"
                f" it: --categorical {joined([column.name])}",
                where=f"{self.table.place(first)}, column {column.name}",
            )
            return False
        else:
            notices.add(category_notice(column))
        return True


def _looks_numeric(column: Profile) -> bool:
    """Whether the other texts of the column are few beside its numbers."""
    others = sum(column.words.values())
    numbers = column.rows_of(column.numbers) + sum(column.written.values())
    return not others or (len(column.words) <= FEW_WORDS and numbers > others)


def missing_notice(column: Profile) -> str | None:
    """Says which texts of a column of numbers are read as missing values."""
    texts = column.missing
    if not texts or not column.numbers:
        return None
    return (
        f"{shown(column.name)} is read as numbers; {quoted(texts)} are read as missing values."
        " The customers' file may have the same texts, and their table has to have NULL there."
    )


def category_notice(column: Profile) -> str | None:
    """Says that a column which looks numeric is read as categories, and what stands in the way."""
    numbers = column.rows_of(column.numbers)
    name = shown(column.name)
    if len(column.numbers) >= LEAST_NUMBERS and (
        len(column.words) <= FEW_WORDS or numbers >= column.filled / 2
    ):
        return (
            f"{name} is read as categories because of {quoted(column.words + column.written)}; if"
            " it is a number, write those as empty fields or numbers. If it is not, name it:"
            f" --categorical {joined([column.name])}."
        )
    if column.missing:
        return (
            f"{name} is read as categories, and {quoted(column.missing)} is one of them; to make it"
            " a missing value, write it as an empty field, here and in the customers' table."
        )
    return None


def quoted(texts: Counter) -> str:
    """The most frequent texts with their rows."""
    listed = [f"{text!r} ({rows:,} rows)" for text, rows in texts.most_common(LISTED)]
    more = len(texts) - len(listed)
    return ", ".join(listed) + (f" and {more:,} more" if more else "")


def nothing_left_error(table: Table, notices: Notices) -> TrainingError:
    return TrainingError(
        "no column is left to train on",
        where=table.path,
        next_step="name the columns to use with --features",
        details=notices.texts(),
    )


def left_out_notice(name: str, reason: str) -> str:
    return f"{shown(name)} is left out: {reason}. To use it, name it in --features."


def nameless_notices(table: Table, notices: Notices) -> None:
    for position in table.nameless:
        hint = (
            "; files written by pandas and R have their row numbers there" if position == 1 else ""
        )
        notices.add(f"column {position} has no name and is left out{hint}.")
