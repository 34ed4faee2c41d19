"""Which spellings of a category mean the same.

PostgreSQL writes `true` where pandas writes `True`, `1` where pandas writes `1.0`, and other
programs fill texts with blanks. The manifest has a list of steps for each column of categories. A
value that is no category as it is written is put into its normal form by these steps, and is the
category with the same normal form. tests/category_spelling.json holds this module and the scoring
function to the same forms.
"""

import re
from collections.abc import Callable, Iterable

import numpy as np

from .errors import some_of
from .names import shown

YES = frozenset({"true", "t", "yes", "y", "on", "1"})
NO = frozenset({"false", "f", "no", "n", "off", "0"})
# What one program writes for yes and no. A column of T and N has codes, and no yes or no.
PAIRS = [{"true", "false"}, {"t", "f"}, {"yes", "no"}, {"y", "n"}, {"on", "off"}, {"1", "0"}]
BLANKS = " \t\n\r\u00a0"
WHOLE = re.compile(r"(?P<whole>-?(?P<digits>0|[1-9][0-9]*))(\.0+)?")


def _without_blanks(text: str) -> str:
    return text.rstrip(BLANKS)


def _whole_number(text: str) -> str:
    match = WHOLE.fullmatch(text)
    if match is None:
        return text
    # Minus zero is zero.
    return "0" if match["digits"] == "0" else match["whole"]


def _boolean(text: str) -> str:
    word = text.lower()
    if not text.isascii() or word not in YES | NO:
        return text
    return "true" if word in YES else "false"


def _lower_case(text: str) -> str:
    return "".join(one.lower() if len(one.lower()) == 1 else one for one in text)


# The order is part of the rule.
STEPS: dict[str, Callable[[str], str]] = {
    "trailing_blanks": _without_blanks,
    "whole_numbers": _whole_number,
    "booleans": _boolean,
    "case": _lower_case,
}


def normal_form(steps: Iterable[str], text: str) -> str:
    for step in steps:
        text = STEPS[step](text)
    return text


def steps_of(categories: list[str]) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """The steps for a column of these categories, and for each other step two that it would merge.

    What the training rows keep apart stays apart, whatever it looks like.
    """
    steps: list[str] = []
    merged = {}
    for step in STEPS:
        if step == "booleans" and not _is_yes_and_no(steps, categories):
            continue
        alike = _merged([*steps, step], categories)
        if alike is None:
            steps.append(step)
        else:
            merged[step] = alike
    return steps, merged


def _is_yes_and_no(steps: list[str], categories: list[str]) -> bool:
    return {normal_form([*steps, "case"], category) for category in categories} in PAIRS


def _merged(steps: list[str], categories: list[str]) -> tuple[str, str] | None:
    """Two categories that the steps make one of. The empty text is a missing value."""
    forms = {"": ""}
    for category in categories:
        other = forms.setdefault(normal_form(steps, category), category)
        if other != category:
            return other, category
    return None


def respelt(values: np.ndarray, categories: list[str], steps: list[str]) -> np.ndarray:
    """The values, each as the category that it means; a value that means none stays as it is."""
    learned = {"", *categories}
    by_form = {normal_form(steps, category): category for category in learned}

    def category_of(value: str) -> str:
        return value if value in learned else by_form.get(normal_form(steps, value), value)

    found = {value: category_of(value) for value in set(values.tolist())}
    if all(value == category for value, category in found.items()):
        return values
    return np.array([found[value] for value in values.tolist()], dtype=object)


def notice(column: str, merged: dict[str, tuple[str, str]]) -> str | None:
    """Says which categories may be one that is spelt in two ways."""
    pairs = list(dict.fromkeys(merged.values()))
    if not pairs:
        return None
    texts = [f"{one!r} and {other!r}" if one else f"{other!r} and empty" for one, other in pairs]
    return (
        f"{shown(column)} has categories that differ in their spelling alone: {some_of(texts)}."
        " They stay apart, also in the nightly run. If they mean the same, write them alike and"
        " train again."
    )
