"""The training table as exact text, its target, and the rows that are held out.

This module guesses no types. A category `01` must stay `01`, because the scoring function compares
categories as text.
"""

import csv
import io
import zlib
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import files, parquet, quotes
from .errors import TrainingError, some_of
from .names import choose, shown
from .values import is_missing

MAX_ROWS = 20_000_000
MAX_COLUMNS = 2_000
HELD_OUT_SHARE = 0.2
HELD_OUT_NAMES = {
    "validation",
    "valid",
    "val",
    "test",
    "holdout",
    "hold-out",
    "hold_out",
    "heldout",
    "oot",
}
# With fewer rows, no row of the class would be left on one side of the split.
MIN_PER_CLASS = 2


@dataclass(frozen=True)
class Table:
    """A file: its columns in their order, and every cell as text.

    `repeated` has the positions of each name that the header has more than once; the values are
    those of its first column. `nameless` has the positions of the columns without a name, which are
    not among the columns. `lines` has the line of each row; a Parquet file has none. `unreadable`
    says what the columns hold that cannot be used.
    """

    path: str
    columns: list[str]
    values: dict[str, np.ndarray]
    rows: int
    header_line: int = 1
    repeated: dict[str, list[int]] = field(default_factory=dict)
    nameless: list[int] = field(default_factory=list)
    lines: Sequence[int] = ()
    unreadable: dict[str, str] = field(default_factory=dict)

    def place(self, row: int) -> str:
        """Where a row is, counted from 0."""
        if self.lines:
            return f"{self.path}, line {self.lines[row]}"
        return f"{self.path}, row {row + 1}"

    def find(self, column: str, role: str) -> str:
        """The exact name of a column; an error if the column that `role` names is missing."""
        found, unknown = choose(column, self.columns)
        if column in self.values:
            found, unknown = [column], []
        if len(found) != 1 or unknown:
            raise TrainingError(
                f"there is no column {column!r} ({role})",
                where=self.path,
                next_step=f"use one of the file's columns: {some_of(map(shown, self.columns))}",
            )
        if found[0] in self.repeated:
            raise TrainingError(
                f"the header names a column twice: {found[0]} ({role})",
                where=f"{self.path}, line {self.header_line}",
                next_step="give every column a different name",
            )
        if found[0] in self.unreadable:
            raise TrainingError(
                f"{self.what_it_holds(found[0])} ({role})",
                where=self.path,
                next_step="write the column as numbers or as text",
            )
        return found[0]

    def what_it_holds(self, name: str) -> str:
        """Says what a column holds that cannot be used."""
        return f"column {name!r} holds {self.unreadable[name]}, which are neither numbers nor texts"


def read_table(path: str, skipped_lines: int = 0) -> Table:
    """Reads a file of CSV or Parquet. Every cell stays unchanged text."""
    if not Path(path).is_file():
        raise TrainingError(
            f"cannot read {path}: no such file",
            where="--data",
            next_step="give the path of a CSV, CSV.gz or Parquet file",
        )

    try:
        if parquet.is_parquet(path):
            return _read_parquet(path, skipped_lines)
        opener, encoding = files.opener_of(path)
        return _read(path, opener, encoding, skipped_lines)
    except (OSError, EOFError, zlib.error) as error:
        raise TrainingError(
            f"cannot read {path}: {error}",
            where="--data",
            next_step="check that the file is complete and readable",
        ) from error


def _read_parquet(path: str, skipped_lines: int) -> Table:
    if skipped_lines:
        raise TrainingError(
            "a Parquet file has no lines above its table",
            where=path,
            next_step="leave out --skip-lines",
        )
    header, texts, unreadable, rows = parquet.read(path, MAX_ROWS)
    _check_header(path, header)
    if not rows:
        raise _no_rows_error(path)
    # The names of the rows are no column, as they have no name in a CSV file.
    named = ["" if parquet.ROW_NAMES.fullmatch(name) else name for name in header]
    return Table(path=path, rows=rows, unreadable=unreadable, **_named(named, texts))


def _read(path: str, opener, encoding: str, skipped_lines: int) -> Table:
    # csv counts the lines that it reads, from the header.
    above, separator = 0, ","
    try:
        with io.TextIOWrapper(opener(), encoding=encoding, newline="") as handle:
            separator, above = files.start(handle, skipped_lines)
            return _parse(path, csv.reader(handle, strict=True, delimiter=separator), above)
    except UnicodeDecodeError as error:
        if encoding.startswith("utf-16"):
            raise TrainingError(
                "the file cannot be read: it is UTF-16 text that is cut or damaged",
                where=path,
                next_step="check that the file is complete and is a CSV file",
            ) from error
        line, problem = files.bad_byte(opener)
        raise TrainingError(
            problem,
            where=f"{path}, line {line}",
            next_step="convert the file, for example: iconv -f windows-1252 -t utf-8 IN.csv >"
            " OUT.csv",
        ) from error
    except csv.Error as error:
        with io.TextIOWrapper(opener(), encoding=encoding, newline="") as handle:
            files.start(handle, skipped_lines)
            found = quotes.unbalanced(handle.read(), separator)
        if found:
            line, problem, next_step = found
            raise TrainingError(
                problem, where=f"{path}, line {above + line}", next_step=next_step
            ) from error
        raise TrainingError(
            f"{path} is not a well-formed CSV file: {error}",
            where="--data",
            next_step='put commas between fields, and quotes (") around fields with commas in them',
        ) from error


def _parse(path: str, reader, above: int) -> Table:
    header = next(reader, None)
    if not header:
        raise TrainingError(
            "the file is empty",
            where=path,
            next_step="give a CSV file with a header row and one row per customer",
        )
    header_line = above + 1
    _check_header(f"{path}, line {header_line}", header)

    rows, lines = [], array("Q")
    line = above + reader.line_num + 1
    for row in reader:
        begins, line = line, above + reader.line_num + 1
        if not row:
            continue
        if len(row) != len(header):
            raise _width_error(f"{path}, line {begins}", row, header, header_line, bool(rows))
        rows.append(row)
        lines.append(begins)
        if len(rows) > MAX_ROWS:
            raise TrainingError(
                f"the file has more than {MAX_ROWS:,} rows",
                where=path,
                next_step="train on a random sample of it",
            )
    if not rows:
        raise _no_rows_error(path)

    texts = [np.array(column, dtype=object) for column in zip(*rows, strict=True)]
    named = _named(header, texts)
    return Table(path=path, rows=len(rows), header_line=header_line, lines=lines, **named)


def _named(header: list[str], texts: list[np.ndarray]) -> dict:
    """The columns by their names, and the positions of those whose name is repeated or missing."""
    positions: dict[str, list[int]] = {}
    for position, name in enumerate(header, start=1):
        positions.setdefault(name if name.strip() else "", []).append(position)
    nameless = positions.pop("", [])
    return {
        "columns": list(positions),
        "values": {name: texts[found[0] - 1] for name, found in positions.items()},
        "repeated": {name: found for name, found in positions.items() if len(found) > 1},
        "nameless": nameless,
    }


def _no_rows_error(path: str) -> TrainingError:
    return TrainingError(
        "the file has a header and no rows", where=path, next_step="add one row per customer"
    )


def _width_error(
    where: str, row: list[str], header: list[str], header_line: int, has_rows: bool
) -> TrainingError:
    if any(field.endswith("\\") for field in row):
        return TrainingError(quotes.BACKSLASH, where=where, next_step=quotes.BACKSLASH_ADVICE)
    next_step = (
        "put quotes around fields that hold commas, and write every field of the row; a note or a"
        " total below the table has to go"
    )
    if len(row) > len(header) and not has_rows:
        next_step = (
            f"if line {header_line} is a note and the header is below it, leave it out with"
            " --skip-lines; otherwise put quotes around fields that hold commas"
        )
    what = f"a row has {len(row)} fields, the header has {len(header)}"
    return TrainingError(what, where=where, next_step=next_step)


def _check_header(where: str, header: list[str]) -> None:
    if not any(name.strip() for name in header):
        raise TrainingError(
            "no column has a name", where=where, next_step="name the columns in the first line"
        )

    if len(header) > MAX_COLUMNS:
        raise TrainingError(
            f"the file has {len(header):,} columns; the bound is {MAX_COLUMNS:,}",
            where=where,
            next_step="keep only the columns that the model shall use",
        )


def read_target(table: Table, column: str, positive: str) -> tuple[np.ndarray, str, list[str]]:
    """Returns 1 for each bad row and 0 for each good row, the bad value, and the good values.

    The positive value is the bad class. Every other value is good.
    """
    values = table.values[column]
    missing = np.flatnonzero(values == "")
    if len(missing):
        raise TrainingError(
            f"the target {column!r} is empty in {len(missing):,} of {table.rows:,} rows",
            where=f"{table.path}, first in data row {missing[0] + 1}",
            next_step="remove rows whose outcome is not known, or choose another --target",
        )

    counts = Counter(values.tolist())
    positive = _value_of(counts, positive)
    if positive not in counts:
        listed = some_of([f"{value!r} ({count:,} rows)" for value, count in counts.most_common(10)])
        raise TrainingError(
            f"no row has {column} = {positive!r} (--positive, the bad class)",
            where=table.path,
            next_step=f"use one of the values, exactly as written: {listed}",
        )
    if len(counts) == 1:
        raise TrainingError(
            f"the target {column!r} has one class only: every row is {positive!r}",
            where=table.path,
            next_step="training needs rows of both classes, good and bad",
        )

    good_values = sorted(value for value in counts if value != positive)
    _check_outcomes(table, column, counts, good_values)
    return (values == positive).astype(np.int8), positive, good_values


def _check_outcomes(table: Table, column: str, counts: Counter, good_values: list[str]) -> None:
    """Refuses a text for missing among the outcomes, which would count as good."""
    unknown = [value for value in good_values if is_missing(value)]
    # In a column of + and -, the minus is an outcome.
    if not unknown or len(unknown) == len(good_values):
        return
    listed = some_of([f"{value!r} ({counts[value]:,} rows)" for value in unknown])
    raise TrainingError(
        f"the target {column!r} is {listed}, which says that the outcome is not known",
        where=table.path,
        next_step="remove these rows, because every value but --positive counts as good",
    )


def _value_of(counts: Counter, value: str) -> str:
    """The value as the column has it: exactly, or else without the blanks around it."""
    alike = [known for known in counts if known.strip() == value.strip()]
    return alike[0] if value not in counts and len(alike) == 1 else value


def hold_out(
    table: Table, bad: np.ndarray, column: str | None, held_out_values: str, seed: int
) -> np.ndarray:
    """A mask of the rows on which the model is measured and not trained.

    The split column says which. Without one, the seed chooses a fifth of each class.
    """
    if column is None:
        return _hold_out_a_share(table, bad, seed)

    values = table.values[column]
    mask = np.isin(values, _held_out_values(table, column, values, held_out_values))
    advice = (
        "choose another --validation-value, or leave out --split-column to hold out a fifth by"
        " --seed"
    )
    for part, name in ((~mask, "training"), (mask, "held-out")):
        if not part.any():
            raise TrainingError(
                f"no {name} rows are left by the split column {column!r}",
                where=table.path,
                next_step=advice,
            )
        _check_classes(
            bad[part], f"the {name} rows of split column {column!r}", table.path, advice, least=1
        )
    return mask


def _hold_out_a_share(table: Table, bad: np.ndarray, seed: int) -> np.ndarray:
    _check_classes(bad, "the file", table.path, "add rows of that class")
    mask = np.zeros(table.rows, dtype=bool)
    generator = np.random.default_rng(seed)
    for label in (0, 1):
        members = np.flatnonzero(bad == label)
        size = min(max(1, round(len(members) * HELD_OUT_SHARE)), len(members) - 1)
        mask[generator.permutation(members)[:size]] = True
    return mask


def _held_out_values(table: Table, column: str, values: np.ndarray, asked: str) -> list[str]:
    counts = Counter(values.tolist())
    listed = some_of([f"{value!r} ({count:,} rows)" for value, count in counts.most_common(10)])
    if asked:
        found, unknown = choose(asked, counts)
        if unknown or not found:
            raise TrainingError(
                f"no row has {column} = {some_of(map(repr, unknown or [asked]))}"
                " (--validation-value)",
                where=table.path,
                next_step=f"use one of the values, exactly as written: {listed}",
            )
        return found

    known = [value for value in counts if value.strip().lower() in HELD_OUT_NAMES]
    if len(known) != 1:
        found = "none" if not known else "several"
        raise TrainingError(
            f"{found} of the values of split column {column!r} name the held-out rows",
            where=table.path,
            next_step=f"name them with --validation-value A,B,..; the column's values: {listed}",
        )
    return known


def _check_classes(
    bad: np.ndarray, what: str, where: str, advice: str, least: int = MIN_PER_CLASS
) -> None:
    for label, name in ((1, "bad"), (0, "good")):
        count = int(np.count_nonzero(bad == label))
        if count < least:
            raise TrainingError(
                f"{what} has {count} {name} rows; at least {least} are needed",
                where=where,
                next_step=advice,
            )
