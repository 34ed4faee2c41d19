"""What the database can hold, checked where the model is made.

`customer_features` has a column for each source column of the model. A model that trains and whose
customers cannot be loaded would be found out too late.
"""

import math

from .errors import TrainingError
from .problems import Problems
from .values import Profile

# PostgreSQL cuts a longer name of a column.
MAX_NAME_BYTES = 63
# PostgreSQL has at most 1,600 columns in a table; one of them is the customer's key.
MAX_SOURCES = 1_599
# The largest row of a page of 8 KiB, with the row's header.
MAX_ROW_BYTES = 8_160
HEADER_BYTES = 23
KEY_BYTES = 51
NUMBER_BYTES = 8
# A longer text moves out of the row and leaves a pointer of this length.
MAX_TEXT_BYTES = 24
# Names that the table of features has for itself.
RESERVED = {"customer_id"}
# Columns of PostgreSQL's own.
SYSTEM = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}


def check_name(name: str, problems: Problems) -> None:
    """Adds a problem if the database cannot have a feature of this name."""
    length = len(name.encode())
    if length > MAX_NAME_BYTES:
        problems.add(
            name,
            f"the name {name!r} has {length} bytes, and PostgreSQL takes {MAX_NAME_BYTES}",
            "give the column a shorter name, here and in the customers' table",
        )
    elif name in RESERVED or name in SYSTEM:
        problems.add(
            name,
            f"{name!r} cannot be a feature: the customers' table has a column of this name for"
            " itself",
            "give the column another name, here and in the customers' table, or --exclude it",
        )
    elif "\0" in name:
        problems.add(name, f"{name!r} has a NUL character", "give the column another name")


class RowWidth:
    """The width of a customer's row of features, as PostgreSQL stores it."""

    def __init__(self) -> None:
        self.numbers = 0
        self.text_bytes: list[int] = []

    def add(self, column: Profile, as_number: bool) -> None:
        if as_number:
            self.numbers += 1
        else:
            longest = max((len(text.encode()) for text in column.counts), default=0)
            self.text_bytes.append(min(longest + 1, MAX_TEXT_BYTES))

    def bytes(self) -> int:
        columns = self.numbers + len(self.text_bytes)
        header = math.ceil((HEADER_BYTES + math.ceil((columns + 1) / 8)) / 8) * 8
        key = math.ceil(KEY_BYTES / 8) * 8
        return header + key + self.numbers * NUMBER_BYTES + sum(self.text_bytes)

    def check(self, path: str) -> None:
        """Refuses a model whose customers do not fit into the table of features."""
        columns = self.numbers + len(self.text_bytes)
        if columns > MAX_SOURCES:
            raise TrainingError(
                f"the model would read {columns:,} columns, and PostgreSQL has at most"
                f" {MAX_SOURCES:,} beside the customer's key",
                where=path,
                next_step="use fewer features: name them in --features",
            )
        width = self.bytes()
        if width > MAX_ROW_BYTES:
            most = (MAX_ROW_BYTES - 200) // NUMBER_BYTES
            raise TrainingError(
                f"a customer's row of {columns:,} features would have {width:,} bytes, and"
                f" PostgreSQL stores {MAX_ROW_BYTES:,}",
                where=path,
                next_step=f"use fewer features, at most about {most:,} numbers: name them in"
                " --features",
            )
