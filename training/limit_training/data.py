"""The training table as exact text, its target, and the rows that are held out.

This module guesses no types. A category `01` must stay `01`, because the scoring function compares
categories as text.
"""

import csv
import gzip
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import TrainingError, some_of

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
# A field with what ends it. A quote opens a field only as its first character, and two quotes in it
# are one. `rest` is the first character after the closing quote, if the field goes on there.
FIELD = re.compile(
    r'(?:(?P<quoted>")(?:[^"]|"")*(?P<closed>"(?P<rest>[^,\r\n])?)?|[^,\r\n]*)(?:,|\r\n?|\n|$)?'
)


@dataclass(frozen=True)
class Table:
    """A CSV file: its columns in their order, and every cell as text."""

    path: str
    columns: list[str]
    values: dict[str, np.ndarray]
    rows: int

    def require(self, column: str, role: str) -> np.ndarray:
        """The values of a column; an error if the column that `role` names is missing."""
        if column not in self.values:
            raise TrainingError(
                f"there is no column {column!r} ({role})",
                where=self.path,
                next_step=f"use one of the file's columns: {some_of(self.columns)}",
            )
        return self.values[column]


def read_table(path: str) -> Table:
    """Reads a CSV file, or a gzip file if its name ends in .gz. Every cell stays unchanged text."""
    if not Path(path).is_file():
        raise TrainingError(
            f"cannot read {path}: no such file",
            where="--data",
            next_step="give the path of a CSV or CSV.gz file",
        )

    opener = gzip.open if path.endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as handle:
            return _parse(path, csv.reader(handle, strict=True))
    except (OSError, EOFError, zlib.error) as error:
        raise TrainingError(
            f"cannot read {path}: {error}",
            where="--data",
            next_step="check that the file is complete and readable",
        ) from error
    except UnicodeDecodeError as error:
        raise TrainingError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start})",
            where="--data",
            next_step="convert it, for example: iconv -f latin1 -t utf-8 IN.csv > OUT.csv",
        ) from error
    except csv.Error as error:
        if found := _unbalanced_quote(path, opener):
            line, problem = found
            raise TrainingError(
                problem,
                where=f"{path}, line {line}",
                next_step="close the quote, or write a quote inside quotes twice",
            ) from error
        raise TrainingError(
            f"{path} is not a well-formed CSV file: {error}",
            where="--data",
            next_step='put commas between fields, and quotes (") around fields with commas in them',
        ) from error


def _unbalanced_quote(path: str, opener) -> tuple[int, str] | None:
    """Returns the line of the quote that does not balance, and what is wrong with it.

    Python's reader only says that the file ended, which may be far from the quote.
    """
    with opener(path, "rt", encoding="utf-8-sig", newline="") as handle:
        text = handle.read()
    for match in FIELD.finditer(text):
        quoted = match["quoted"] is not None
        if quoted and match["closed"] is None:
            return _line_of(text, match.start()), 'a quote (") opens here and is never closed'
        if quoted and match["rest"]:
            return _line_of(text, match.end() - 1), (
                'a quote (") ends a field here, and no comma and no end of line follows it'
            )
    return None


def _line_of(text: str, offset: int) -> int:
    return 1 + len(re.findall(r"\r\n?|\n", text[:offset]))


def _parse(path: str, reader) -> Table:
    header = next(reader, None)
    if not header:
        raise TrainingError(
            "the file is empty",
            where=path,
            next_step="give a CSV file with a header row and one row per customer",
        )
    _check_header(path, header)

    rows = []
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise TrainingError(
                f"a row has {len(row)} fields, the header has {len(header)}",
                where=f"{path}, line {reader.line_num}",
                next_step="put quotes around fields with commas, and write every field of the row",
            )
        rows.append(row)
        if len(rows) > MAX_ROWS:
            raise TrainingError(
                f"the file has more than {MAX_ROWS:,} rows",
                where=path,
                next_step="train on a random sample of it",
            )
    if not rows:
        raise TrainingError(
            "the file has a header and no rows", where=path, next_step="add one row per customer"
        )

    columns = zip(*rows, strict=True)
    values = {
        name: np.array(column, dtype=object) for name, column in zip(header, columns, strict=True)
    }
    return Table(path=path, columns=header, values=values, rows=len(rows))


def _check_header(path: str, header: list[str]) -> None:
    where = f"{path}, line 1"
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise TrainingError(
            f"the header names a column twice: {some_of(repeated)}",
            where=where,
            next_step="give every column a different name",
        )

    if any(not name.strip() for name in header):
        raise TrainingError(
            f"column {1 + [bool(n.strip()) for n in header].index(False)} has no name",
            where=where,
            next_step="name every column in the header; a column of row numbers often has no name",
        )

    if len(header) > MAX_COLUMNS:
        raise TrainingError(
            f"the file has {len(header):,} columns; the bound is {MAX_COLUMNS:,}",
            where=where,
            next_step="keep only the columns that the model shall use",
        )


def read_target(table: Table, column: str, positive: str) -> tuple[np.ndarray, list[str]]:
    """Returns 1 for each bad row and 0 for each good row, and the values that count as good.

    The positive value is the bad class. Every other value is good.
    """
    values = table.require(column, "--target")
    missing = np.flatnonzero(values == "")
    if len(missing):
        raise TrainingError(
            f"the target {column!r} is empty in {len(missing):,} of {table.rows:,} rows",
            where=f"{table.path}, first in data row {missing[0] + 1}",
            next_step="remove rows whose outcome is not known, or choose another --target",
        )

    counts = Counter(values.tolist())
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
    return (values == positive).astype(np.int8), good_values


def hold_out(
    table: Table, bad: np.ndarray, column: str | None, held_out_values: list[str], seed: int
) -> np.ndarray:
    """A mask of the rows on which the model is measured and not trained.

    The split column says which. Without one, the seed chooses a fifth of each class.
    """
    if column is None:
        return _hold_out_a_share(table, bad, seed)

    values = table.require(column, "--split-column")
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


def _held_out_values(table: Table, column: str, values: np.ndarray, asked: list[str]) -> list[str]:
    counts = Counter(values.tolist())
    listed = some_of([f"{value!r} ({count:,} rows)" for value, count in counts.most_common(10)])
    if asked:
        unknown = [value for value in asked if value not in counts]
        if unknown:
            raise TrainingError(
                f"no row has {column} = {unknown[0]!r} (--validation-value)",
                where=table.path,
                next_step=f"use one of the values, exactly as written: {listed}",
            )
        return asked

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
