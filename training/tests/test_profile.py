"""What the training counts for the comparison with the customers of a run."""

import collections

import numpy as np

from limit_training import profile


def float32(values: list[float]) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_a_bin_begins_at_its_bound_and_none_is_empty():
    spread = profile.of_numbers(float32([1, 2, 2, 2, 2, 2, 2, 3, 4, float("nan")]))
    assert spread == {
        "bins": {"bounds": [2.0, 3.0, 4.0]},
        "rows": {"bins": [1, 6, 1, 1], "missing": 1},
    }


def test_many_different_numbers_have_ten_bins_of_equal_size():
    spread = profile.of_numbers(float32(np.arange(1000) / 10))
    assert spread["rows"]["bins"] == [99, *[100] * 8, 101]
    assert spread["bins"]["bounds"][0] == 9.9, "the shortest text of the float32"


def test_a_column_without_a_number_has_one_empty_bin():
    spread = profile.of_numbers(float32([float("nan")] * 3))
    assert spread == {"bins": {"bounds": []}, "rows": {"bins": [0], "missing": 3}}


def test_rare_categories_share_a_bin():
    counts = {f"c{number:02}": 100 - number for number in range(22)}
    spread = profile.of_categories({**counts, None: 7})
    assert spread["bins"]["categories"] == [f"c{number:02}" for number in range(20)]
    assert spread["rows"] == {"bins": [*range(100, 80, -1)], "other": 80 + 79, "missing": 7}


def test_the_manifest_counts_every_training_row_once(artifact, table):
    described = artifact.manifest["profile"]
    names = [feature["source_column"] for feature in artifact.manifest["features"]]
    assert [one["source_column"] for one in described["inputs"]] == list(dict.fromkeys(names))
    for one in described["inputs"]:
        rows = one["values"]["rows"]
        assert sum(rows["bins"]) + rows.get("other", 0) + rows["missing"] == 450

    scores = described["scores"]["rows"]
    assert sum(scores["bins"]) == artifact.manifest["training"]["validation_rows"]

    parts = zip(table["status"], table["part"], strict=True)
    training = collections.Counter(value for value, part in parts if part == "Development")
    status = described["inputs"][-1]["values"]
    named = zip(status["bins"]["categories"], status["rows"]["bins"], strict=True)
    assert dict(named) == {name: count for name, count in training.items() if name}
    assert status["rows"]["missing"] == training[""]


def test_only_the_most_important_inputs_are_counted_when_there_are_many(monkeypatch):
    monkeypatch.setattr(profile, "MAX_INPUTS", 2)
    sources = {"a": [0], "b": [1, 2], "c": [3]}
    assert profile.most_important(sources, np.array([1.0, 2.0, 2.0, 3.0])) == {"b", "c"}
