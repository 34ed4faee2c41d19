"""Columns that say which row it is: row numbers, keys of customers and accounts, names of people.

A model that has seen them knows its training rows by heart, and nothing of other customers.
"""

import re

import numpy as np

from .values import Profile
from .words import words_of

# In a smaller table it may be chance that every value differs.
LEAST_ROWS = 50
# Numbers that count the rows one by one are no chance in a smaller table either.
LEAST_COUNTED_ROWS = 10
# So many digits, the same in every row, are a number of an account and not an amount.
LEAST_DIGITS = 8
# The chance that amounts of equal probability all differ, below which they are no amounts.
LARGEST_CHANCE = 1e-3
# With a row for each month, a customer's number repeats. So many rows have a number of their own.
LEAST_DIFFERENT = 0.1
EVERY = "every row has a different value, so it identifies the customer"
MANY = "it has {:,} values, and its name says that they identify something"

NUMBERING = {
    "guid",
    "hash",
    "iban",
    "id",
    "identifier",
    "idx",
    "ids",
    "imei",
    "index",
    "key",
    "msisdn",
    "nin",
    "nino",
    "no",
    "nr",
    "num",
    "number",
    "passport",
    "pk",
    "ref",
    "reference",
    "row",
    "rowid",
    "rowname",
    "rownames",
    "rownum",
    "rownumber",
    "seq",
    "sequence",
    "serial",
    "sin",
    "slno",
    "sno",
    "ssn",
    "token",
    "unnamed",
    "uuid",
}
# Two words that end with a numbering without a gap: CLIENTNUM, custid, kundennr.
JOINED = re.compile(
    r"(cust|customer|client|clnt|member|mbr|account|acct|acc|loan|app|appl|application|applicant|user"
    r"|person|party|borrower|debtor|contract|agreement|deal|case|record|rec|row|obs|observation|entry"
    r"|policy|card|lead|order|transaction|trans|tran|tx|file|household|kunden?|vertrags?|konto|cliente?"
    r"|klant|prospect|respondent|subject|unique|serial|national|tax|sk|pk|invoice|request|instance"
    r"|example|sample|line)_?(id|ids|nr|no|num|nbr|nmbr|number|nummer|key|code|ref|index|idx)"
)


def reason(column: Profile) -> str | None:
    """Why the column only identifies a row, if it does."""
    filled = column.filled
    different = len(column.counts) - (column.empty > 0) - len(column.missing)
    if different < LEAST_COUNTED_ROWS or column.written:
        return None
    if column.words:
        return _reason_for_texts(column, different, filled)
    return _reason_for_numbers(column, filled)


def _reason_for_texts(column: Profile, different: int, filled: int) -> str | None:
    if filled < LEAST_ROWS:
        return None
    if different == filled:
        return EVERY
    if _is_many(different, filled) and is_numbering(column.name):
        return MANY.format(different)
    return None


def _reason_for_numbers(column: Profile, filled: int) -> str | None:
    if not all(number.is_integer() for number in column.numbers.values()):
        return None
    numbers = column.floats
    numbers = numbers[~np.isnan(numbers)]
    different = len(np.unique(numbers))
    if different < filled:
        named = is_numbering(column.name) and filled >= LEAST_ROWS
        return MANY.format(different) if named and _is_many(different, filled) else None

    steps = np.diff(numbers)
    if np.all(steps == 1) or np.all(steps == -1):
        return "every row has a different value, so it only counts the rows"
    if filled < LEAST_ROWS:
        return None
    rises = np.all(steps > 0) or np.all(steps < 0)
    if rises or is_numbering(column.name) or _is_dense(numbers) or _has_equal_length(numbers):
        return EVERY
    return None


def _is_many(different: int, filled: int) -> bool:
    return different >= max(LEAST_ROWS, LEAST_DIFFERENT * filled)


def _is_dense(numbers: np.ndarray) -> bool:
    """Whether values of this range would repeat, if they were amounts (the birthday problem)."""
    span = float(numbers.max() - numbers.min()) + 1
    return np.exp(-(len(numbers) ** 2) / (2 * span)) < LARGEST_CHANCE


def _has_equal_length(numbers: np.ndarray) -> bool:
    least, most = float(np.abs(numbers).min()), float(np.abs(numbers).max())
    digits = len(f"{least:.0f}")
    rounded = np.mean(numbers % 100 == 0)
    return digits >= LEAST_DIGITS and digits == len(f"{most:.0f}") and rounded < 0.1


def is_numbering(name: str) -> bool:
    """Whether a name says that a column numbers or identifies its rows."""
    words = words_of(name)
    if not words:
        return True
    if words[0] == "unnamed" or words[-1] in NUMBERING or words in (["x"], ["level", "0"]):
        return True
    # SK_ID_CURR, ID_client, id2
    if "id" in words or words[0] in ("sk", "pk"):
        return True
    return JOINED.fullmatch("".join(words)) is not None
