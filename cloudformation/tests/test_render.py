"""The deployed definition is the one that its YAML source describes, and explains a retry once."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STATE_MACHINE = Path(__file__).resolve().parents[2] / "statemachine"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the folder `statemachine`, for tests that change it."""
    return Path(shutil.copytree(STATE_MACHINE, tmp_path / "statemachine"))


def render(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "render.py"), *options]
    return subprocess.run(command, capture_output=True, text=True)


def replace_in_source(folder: Path, old: str, new: str) -> None:
    source = folder / "limit-increase.yaml"
    text = source.read_text(encoding="utf-8")
    assert old in text
    source.write_text(text.replace(old, new), encoding="utf-8")


def test_the_definition_in_the_tree_is_up_to_date():
    result = render(STATE_MACHINE, "--check")
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_definition_that_is_out_of_date_fails_the_check_with_a_diff(copy):
    before = (copy / "limit-increase.asl.json").read_bytes()
    replace_in_source(copy, "TimeoutSeconds: 930", "TimeoutSeconds: 931")
    result = render(copy, "--check")
    assert result.returncode == 1
    assert '-      "TimeoutSeconds": 930,' in result.stdout
    assert '+      "TimeoutSeconds": 931,' in result.stdout
    assert "run `make render`" in result.stderr
    assert (copy / "limit-increase.asl.json").read_bytes() == before, "a check writes nothing"


def test_rendering_brings_the_definition_up_to_date(copy):
    replace_in_source(copy, "TimeoutSeconds: 930", "TimeoutSeconds: 931")
    assert render(copy).returncode == 0
    assert render(copy, "--check").returncode == 0
    definition = json.loads((copy / "limit-increase.asl.json").read_text(encoding="utf-8"))
    assert definition["States"]["QueryBatchScores"]["TimeoutSeconds"] == 931


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("  SaveResults:\n", "  RecordFailure:\n", "the key 'RecordFailure' is written twice"),
        ("  RecordFailure:\n", "  No:\n", "the key False is not text"),
        ("*run_failed", "*run_lost", "undefined alias 'run_lost'"),
    ],
)
def test_a_source_that_is_wrong_is_refused_by_name_and_line(copy, old, new, problem):
    before = (copy / "limit-increase.asl.json").read_bytes()
    replace_in_source(copy, old, new)
    result = render(copy)
    assert result.returncode == 1
    assert problem in result.stderr and "line " in result.stderr
    assert (copy / "limit-increase.asl.json").read_bytes() == before


def test_a_repeated_part_is_explained_once(states):
    def comments(kind: str) -> list[str]:
        rules = [rule for state in states.values() for rule in state.get(kind, [])]
        return [rule["Comment"] for rule in rules if "Comment" in rule]

    for kind in ("Retry", "Catch"):
        assert len(comments(kind)) == len(set(comments(kind))), f"a comment of {kind} is repeated"
    assert all("Comment" in rule for rule in states["QueryBatchScores"]["Retry"])
    assert all("Comment" not in rule for rule in states["SaveResults"]["Retry"])
