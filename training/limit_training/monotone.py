"""Directions of features: --monotone COL=-1 keeps the log-odds of bad from rising with the number.

CatBoost keeps a direction in each tree. The scoring function proves it again when it loads the
model, from the direction in the manifest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from .errors import usage_error
from .names import joined, shown

if TYPE_CHECKING:
    from .encode import Encoded

# A name ends before the last equals sign of its word, because a name may have one in it.
WORD = re.compile(r"\s*(?P<name>.+?)\s*=\s*(?P<direction>[+-]?1)\s*(?:,|$)", re.DOTALL)


def parse(texts: list[str]) -> list[tuple[str, int]]:
    """Reads the options --monotone COL=+1,COL=-1: the names as they are given, with directions."""
    found = []
    for text in texts:
        at = 0
        while at < len(text):
            match = WORD.match(text, at)
            if match is None:
                raise usage_error(
                    f"--monotone {text!r} is not COLUMN=+1 or COLUMN=-1",
                    "+1 lets the probability of bad only rise with the column, -1 only fall; for"
                    " example --monotone income=-1",
                )
            found.append((match["name"], int(match["direction"])))
            at = match.end()
        if not text.strip():
            raise usage_error("--monotone is empty", "for example --monotone income=-1")
    return found


def category_advice(name: str) -> str:
    return (
        "a category has no order: take it out of --monotone, or write numbers in the column, or"
        f" leave it out: --exclude {joined([name])}"
    )


def missing_notices(encoded: Encoded, training: np.ndarray, nan_mode: str) -> list[str]:
    """Say where the missing values of columns with a direction stand."""
    above = nan_mode == "Max"
    notices = []
    for position, column in enumerate(encoded.columns):
        if not column.monotone or not np.isnan(encoded.matrix[training, position]).any():
            continue
        # Below all numbers and falling, or above all numbers and rising, is the worst place.
        worst = above == (column.monotone == 1)
        notices.append(
            f"{shown(column.name)} has missing values and a direction (--monotone). The model reads"
            f" a missing value as {'above' if above else 'below'} every number, so it is never"
            f" {'better' if worst else 'worse'} than one."
            f" --param nan_mode={'Min' if above else 'Max'} puts it on the other side."
        )
    return notices


def violation(model: dict, columns: list[dict]) -> str | None:
    """The first tree of model.json that moves against a direction of the manifest's columns."""
    for number, tree in enumerate(model["oblivious_trees"]):
        values = np.array(tree["leaf_values"])
        leaves = np.arange(len(values))
        steps = _steps(tree)
        possible = np.ones(len(values), dtype=bool)
        for masks in steps.values():
            answers = [(leaves & mask) == mask for mask in masks]
            possible &= ~np.any(
                [(leaves & mask != 0) != yes for mask, yes in zip(masks, answers, strict=True)],
                axis=0,
            )
            for lower, upper in zip(answers, answers[1:], strict=False):
                possible &= lower | ~upper

        for column, masks in steps.items():
            direction = columns[column].get("monotone", 0)
            done = 0
            for mask in masks if direction else []:
                # The leaves that are above the borders before this one and not above it.
                lower = leaves[possible & (leaves & sum(masks) == done)]
                if np.any(direction * (values[lower | mask] - values[lower]) < 0):
                    return f"tree {number} moves against {columns[column]['name']!r}"
                done |= mask
    return None


def _steps(tree: dict) -> dict[int, list[int]]:
    """For each column that the tree asks, the bits of the leaf's number, the lowest border first.

    Equal questions are one step.
    """
    borders: dict[int, dict[float, int]] = {}
    for bit, split in enumerate(tree.get("splits") or []):
        of_column = borders.setdefault(split["float_feature_index"], {})
        of_column[split["border"]] = of_column.get(split["border"], 0) | 1 << bit
    return {
        column: [of_column[border] for border in sorted(of_column)]
        for column, of_column in borders.items()
    }
