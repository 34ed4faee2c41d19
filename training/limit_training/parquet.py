"""A training table of Parquet, as the texts that a CSV file of the same table would have.

So its values are read by the same rules. The loader of customers writes the same texts;
tests/parquet_values has the cases of both.
"""

import re

import numpy as np

from .errors import TrainingError

MAGIC = b"PAR1"
# The digits that a decimal of 16 bytes holds. DuckDB reads longer ones as floats.
MAX_DIGITS = 38
# What pandas calls the column of a table's row names.
ROW_NAMES = re.compile(r"__index_level_\d+__")
TEXT = "CAST({} AS VARCHAR)"
DAMAGED = "copy or write the file again"


def is_parquet(path: str) -> bool:
    with open(path, "rb") as handle:
        return handle.read(len(MAGIC)) == MAGIC


# The names of the columns, their texts, what columns hold that cannot be read, the number of rows.
Found = tuple[list[str], list[np.ndarray], dict[str, str], int]


def read(path: str, max_rows: int) -> Found:
    """Reads the whole file.

    Only columns without others in them can be read. The texts of the rest are empty.
    """
    # Slow to load, and a table of text does without it.
    import duckdb

    try:
        with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return _read(connection, path, max_rows)
    except duckdb.Error as error:
        why = str(error).partition("\n")[0]
        raise TrainingError(
            f"the Parquet file is damaged: {why}", where=path, next_step=DAMAGED
        ) from error


def _read(connection, path: str, max_rows: int) -> Found:
    # A bracket or a star in a path would name several files.
    source = re.sub(r"([*?\[])", r"[\1]", path)
    query = "SELECT num_rows FROM parquet_file_metadata(?)"
    ((rows,),) = connection.execute(query, [source]).fetchall()
    if rows > max_rows:
        raise TrainingError(
            f"the file has more than {max_rows:,} rows",
            where=path,
            next_step="train on a random sample of it",
        )

    names, precisions = _columns(connection, source)
    # DuckDB calls one of Age and age otherwise, because capitals make no difference to it. Names of
    # our own do.
    ours = ", ".join(f"c{position}" for position in range(len(names)))
    table = f"FROM read_parquet(?) AS t({ours})"
    described = connection.execute(f"DESCRIBE {table}", [source]).fetchall()
    texts, unreadable = [], {}
    for position, (name, precision) in enumerate(zip(names, precisions, strict=True)):
        kind = described[position][1]
        if holds := _unreadable(kind, precision):
            unreadable[name] = holds
            texts.append(np.full(rows, "", dtype=object))
            continue
        column = f"c{position}"
        chosen = column if kind in ("FLOAT", "DOUBLE", "BOOLEAN") else TEXT.format(column)
        found = connection.execute(f"SELECT {chosen} AS value {table}", [source]).fetchnumpy()
        texts.append(_texts(found["value"]))
        if len(texts[-1]) != rows:
            raise TrainingError(
                f"the Parquet file is damaged: it has {len(texts[-1])} rows, and says {rows}",
                where=path,
                next_step=DAMAGED,
            )
    return names, texts, unreadable, rows


def _columns(connection, source: str) -> tuple[list[str], list[tuple[int, int] | None]]:
    """The names of the table's columns, and the digits of those that are decimals."""
    query = "SELECT name, num_children, precision, scale FROM parquet_schema(?)"
    elements = iter(connection.execute(query, [source]).fetchall())
    names, precisions = [], []

    def skip(children: int) -> None:
        for _ in range(children):
            skip(next(elements)[1] or 0)

    for _ in range(next(elements)[1]):
        name, children, precision, scale = next(elements)
        names.append(name)
        precisions.append(None if precision is None else (precision, scale))
        skip(children or 0)
    return names, precisions


def _unreadable(kind: str, decimal: tuple[int, int] | None) -> str | None:
    """What a column holds, if it is neither numbers nor texts."""
    if decimal and decimal[0] > MAX_DIGITS:
        return f"decimals of {decimal[0]} digits, of which {decimal[1]} are after the point"
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION", "VARIANT")):
        return "lists or other columns"
    if kind.startswith(("BLOB", "INTERVAL", "GEOMETRY", "BIT")):
        return "bytes"
    return None


def _texts(values: np.ndarray) -> np.ndarray:
    """The values of a column as texts; a missing value is an empty one."""
    missing = np.ma.getmaskarray(values)
    values = np.ma.getdata(values)
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
    if values.dtype.kind in "fb":
        # The shortest text that means the float, in its own width, and True or False.
        values = values.astype(str)
    texts = values.astype(object)
    texts[missing] = ""
    return texts
