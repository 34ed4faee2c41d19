"""The words in a column's name: `SK_ID_CURR`, `CustomerId` and `Loan ID` all have the word id."""

import re

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+|\d+")


def words_of(name: str) -> list[str]:
    return [word.lower() for word in WORD.findall(name)]
