"""Fixtures: the template and the state machine as plain data, without AWS and without a network."""

import json
from pathlib import Path

import pytest
from cfnlint.decode import decode

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def template() -> dict:
    """The template, with each short tag (`!Ref`) in its long form (`{"Ref": ...}`)."""
    document, problems = decode(str(ROOT / "cloudformation" / "infrastructure.yml"))
    assert not problems, problems
    return document


@pytest.fixture(scope="session")
def machine() -> dict:
    """The state machine's definition, before the substitutions."""
    return json.loads(
        (ROOT / "statemachine" / "limit-increase.asl.json").read_text(encoding="utf-8")
    )


@pytest.fixture(scope="session")
def states(machine: dict) -> dict:
    """Every state by its name, including those inside the Map."""
    found: dict = {}
    scopes = [machine["States"]]
    while scopes:
        scope = scopes.pop()
        assert not found.keys() & scope.keys(), (
            "AWS requires names that are unique in the whole machine"
        )
        found.update(scope)
        scopes.extend(
            state["ItemProcessor"]["States"] for state in scope.values() if "ItemProcessor" in state
        )
    return found


@pytest.fixture(scope="session")
def failure_names() -> set[str]:
    """The names of our own failures, from the source that defines them."""
    source = (ROOT / "shared" / "workflow" / "src" / "failure.rs").read_text(encoding="utf-8")
    quoted = source.split('"')[1::2]
    return {
        text
        for text in quoted
        if text.startswith(("Transient.", "Permanent.")) and text[-1].isalpha()
    }
