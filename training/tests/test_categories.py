"""Which spellings of a category mean the same, and that no two learned categories ever do."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from conftest import notices_of
from limit_training.categories import STEPS, normal_form, respelt, steps_of
from tables import ROWS

CASES = json.loads(
    (Path(__file__).parents[2] / "tests" / "category_spelling.json").read_text(encoding="utf-8")
)["cases"]
ALL = list(STEPS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['text']!a} by {case['steps']}")
def test_a_text_has_the_normal_form_that_the_scoring_function_gives_it(case):
    assert normal_form(case["steps"], case["text"]) == case["form"]


def test_a_normal_form_is_its_own():
    for text, size in itertools.product((case["text"] for case in CASES), range(5)):
        for steps in itertools.combinations(ALL, size):
            form = normal_form(steps, text)
            assert normal_form(steps, form) == form, (text, steps)


@pytest.mark.parametrize(
    ("categories", "expected"),
    [
        (["False", "True"], ALL),
        (["f", "t"], ALL),
        (["N", "Y"], ALL),
        (["0.0", "1.0"], ALL),
        (["N", "T"], ["trailing_blanks", "whole_numbers", "case"]),
        (["Y"], ["trailing_blanks", "whole_numbers", "case"]),
        (["0", "1", "2"], ["trailing_blanks", "whole_numbers", "case"]),
        (["rent", "own"], ["trailing_blanks", "whole_numbers", "case"]),
        (["F", "M", "m"], ["trailing_blanks", "whole_numbers"]),
        (["1", "1.0"], ["trailing_blanks", "case"]),
        (["01", "1"], ["trailing_blanks", "whole_numbers", "case"]),
        (["a", "a "], ["whole_numbers", "case"]),
        (["a", " "], ["whole_numbers", "case"]),
        (["False", "True", "true"], ["trailing_blanks", "whole_numbers"]),
    ],
)
def test_a_step_that_would_merge_two_categories_is_left_out(categories, expected):
    assert steps_of(categories)[0] == expected


def test_whatever_the_categories_are_no_two_have_one_normal_form():
    generator = np.random.default_rng(11)
    texts = sorted({case["text"] for case in CASES} - {""})
    for _ in range(500):
        categories = generator.choice(texts, generator.integers(1, 12), replace=False).tolist()
        steps, merged = steps_of(categories)
        forms = {normal_form(steps, category) for category in categories}
        assert len(forms) == len(categories) and "" not in forms, (categories, steps)
        assert not set(steps) & set(merged)
        values = np.array(categories, dtype=object)
        assert respelt(values, categories, steps).tolist() == categories


def test_a_value_becomes_the_category_that_it_means():
    values = np.array(["True", "true", "f", "", "  ", "2", "T "], dtype=object)
    found = respelt(values, ["False", "True"], ALL)
    assert found.tolist() == ["True", "True", "False", "", "", "2", "True"]


def test_the_manifest_states_the_steps_of_every_column_of_categories(artifact, run_training, table):
    steps = artifact.manifest["category_spelling"]
    # The branches 1 and 1.0 are two categories.
    assert steps == {
        "branch": ["trailing_blanks", "case"],
        "status": ["trailing_blanks", "whole_numbers", "case"],
    }
    assert "branch has categories that differ in their spelling alone: '1' and '1.0'" in notices_of(
        artifact
    )
    numbers = run_training(table, "--features", "bureau_score,income")
    assert "category_spelling" not in numbers.manifest


def test_held_out_rows_are_read_as_the_nightly_run_reads_customers(run_training, table):
    """The part of the rows that is held out is spelt otherwise, and means the same."""
    held_out = [part == "Validation" for part in table["part"]]
    status = [text if text else "owner" for text in table["status"]]
    spelt = [
        text.upper() + " " if out else text for text, out in zip(status, held_out, strict=True)
    ]
    options = ["--split-column", "part", "--features", "bureau_score,status"]
    plain = run_training({**table, "status": status}, *options)
    other = run_training({**table, "status": spelt}, *options)
    assert plain.manifest["training"] == other.manifest["training"]
    assert other.manifest["training"]["validation_rows"] == sum(held_out)
    assert len(held_out) == ROWS
