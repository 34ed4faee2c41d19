"""--monotone: a direction is trained, written into the manifest, and kept by every tree."""

import itertools
import json

import numpy as np
import pytest

from conftest import notices_of
from limit_training import monotone, report, selfcheck
from limit_training.artifact import UNREACHED_WEIGHT
from limit_training.errors import EXIT_DATA, EXIT_USAGE, TrainingError

OPTIONS = ("--features", "bureau_score,income,status", "--split-column", "part")


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("income=-1", [("income", -1)]),
        (" income = +1 , score=-1", [("income", 1), ("score", -1)]),
        ("a=b=1", [("a=b", 1)]),
        ('"Income, annual"=-1', [('"Income, annual"', -1)]),
        ("Income, annual=-1", [("Income, annual", -1)]),
    ],
)
def test_names_and_directions(text, pairs):
    assert monotone.parse([text]) == pairs


@pytest.mark.parametrize("text", ["income", "income=2", "income=", "=-1", ""])
def test_what_is_no_direction_is_refused(text):
    with pytest.raises(TrainingError) as error:
        monotone.parse([text])
    assert error.value.exit_code == EXIT_USAGE


def test_a_direction_is_in_the_manifest_and_in_the_report(run_training, table):
    plain = run_training(table, *OPTIONS)
    assert all("monotone" not in feature for feature in plain.manifest["features"])
    # The table's score falls with the log-odds of bad; here a model that says otherwise is asked.
    directed = run_training(table, *OPTIONS, "--monotone", "bureau_score=-1,income=+1")
    directions = {
        feature["name"]: feature.get("monotone") for feature in directed.manifest["features"]
    }
    assert directions["bureau_score"] == -1 and directions["income"] == 1
    assert {direction for name, direction in directions.items() if "=" in name} == {None}
    assert monotone.violation(directed.model, directed.manifest["features"]) is None
    asked = plain.manifest["features"]
    for feature in asked[:2]:
        feature["monotone"] = directions[feature["name"]]
    assert "moves against" in monotone.violation(plain.model, asked)
    assert "Monotone in every tree: bureau_score -1, income +1" in report.as_text(directed.result)
    assert directed.model["model_info"]["model_guid"] != plain.model["model_info"]["model_guid"]


def test_leaves_that_no_row_reached_have_a_weight_so_that_shap_values_are_repeatable(
    run_training, table
):
    directed = run_training(table, *OPTIONS, "--monotone", "bureau_score=-1,income=+1")
    weights = [
        (value, weight)
        for tree in directed.model["oblivious_trees"]
        for value, weight in zip(tree["leaf_values"], tree["leaf_weights"], strict=True)
    ]
    assert any(weight == UNREACHED_WEIGHT for _, weight in weights)
    assert all(weight > 0 for value, weight in weights if value != 0)
    for row in directed.manifest["golden_rows"]:
        assert row["base_value"] == pytest.approx(selfcheck.mean(directed.model), abs=1e-9)
    plain = run_training(table, *OPTIONS)
    assert all(
        weight == int(weight)
        for tree in plain.model["oblivious_trees"]
        for weight in tree["leaf_weights"]
    )


def test_where_a_missing_value_stands_is_said(run_training, table):
    falling = notices_of(run_training(table, *OPTIONS, "--monotone", "income=-1"))
    assert "reads a missing value as below every number, so it is never better" in falling
    above = run_training(table, *OPTIONS, "--monotone", "income=-1", "--param", "nan_mode=Max")
    assert "as above every number, so it is never worse" in notices_of(above)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--monotone", "status=-1"), EXIT_DATA, "status is categories, and --monotone is for"),
        (("--monotone", "incme=-1"), EXIT_DATA, "there is no column 'incme' (--monotone)"),
        (("--monotone", "income=-1,income=1"), EXIT_DATA, "'income' has two directions"),
        (("--monotone", "country=-1"), EXIT_DATA, "'country' has a direction but is not a feature"),
        (("--monotone", "income=up"), EXIT_USAGE, "is not COLUMN=+1 or COLUMN=-1"),
        (("--param", "monotone_constraints=1"), EXIT_USAGE, "--monotone COLUMN=+1"),
    ],
)
def test_a_direction_that_cannot_be_kept_is_refused(refused, options, code, said):
    found, message, _ = refused(*OPTIONS, *options)
    assert found == code and said in message


def test_the_check_of_the_trees_is_that_of_all_pairs_of_cells():
    generator = np.random.default_rng(3)
    kept = 0
    for _ in range(300):
        depth = int(generator.integers(0, 4))
        splits = [
            {"float_feature_index": int(generator.integers(2)), "border": float(border)}
            for border in generator.integers(0, 3, depth)
        ]
        values = generator.integers(-1, 2, 2**depth).tolist()
        model = {"oblivious_trees": [{"splits": splits, "leaf_values": values}]}
        direction = int(generator.choice([-1, 1]))
        columns = [{"name": "x", "monotone": direction}, {"name": "y"}]
        expected = breaks_by_definition(splits, values, direction)
        kept += not expected
        assert (monotone.violation(model, columns) is not None) == expected, json.dumps(model)
    assert 50 < kept < 250


def breaks_by_definition(splits: list[dict], values: list[int], direction: int) -> bool:
    def value(cell):
        bits = (
            int(cell[split["float_feature_index"]] > split["border"]) << bit
            for bit, split in enumerate(splits)
        )
        return values[sum(bits)]

    places = (-1, 0.5, 1.5, 2.5)
    return any(
        direction * (value((high, other)) - value((low, other))) < 0
        for low, high in itertools.combinations(places, 2)
        for other in places
    )
