"""The runbook's tables agree with the code that raises the errors and the machine that retries."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNBOOK = ROOT / "docs" / "runbook.md"
FAILURE = ROOT / "shared" / "workflow" / "src" / "failure.rs"
# Errors of Step Functions that no state retries. The last two are the status of a run that Step
# Functions or an operator ended.
NOT_RETRIED = {
    "States.ExceedToleratedFailureThreshold",
    "States.ItemReaderFailed",
    "States.ResultWriterFailed",
    "States.Runtime",
    "States.Permissions",
    "States.DataLimitExceeded",
    "TIMED_OUT",
    "ABORTED",
}


@pytest.fixture(scope="module")
def runbook() -> str:
    return RUNBOOK.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def failures() -> dict[str, str]:
    """The name of each failure kind, in the order of `FailureKind::ALL`."""
    source = FAILURE.read_text(encoding="utf-8")
    kinds = re.search(r"pub const ALL: \[Self; (\d+)\] = \[(.*?)\];", source, re.DOTALL)
    names = dict(re.findall(r'Self::(\w+) => "([\w.]+)"', source))
    listed = re.findall(r"Self::(\w+)", kinds[2])
    assert len(listed) == len(set(listed)) == int(kinds[1]), "ALL has a kind twice or lacks one"
    variants = re.search(r"pub enum FailureKind \{(.*?)\n\}", source, re.DOTALL)[1]
    assert set(re.findall(r"^    (\w+),$", variants, re.MULTILINE)) == set(listed) == set(names)
    return {kind: names[kind] for kind in listed}


def section(text: str, title: str) -> str:
    pattern = rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)"
    return re.search(pattern, text, re.DOTALL | re.MULTILINE)[1]


def rows(text: str, title: str) -> list[list[str]]:
    """The cells of each row of the table in a section of the runbook."""
    found = [line for line in section(text, title).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in found]


def retried(states: dict) -> dict[str, int]:
    """How often each error is retried, which is the same in every state.

    FailOrResume is the exception: it raises errors that other states have already retried.
    """
    attempts = {
        name: {
            error: retrier["MaxAttempts"]
            for retrier in state["Retry"]
            for error in retrier["ErrorEquals"]
        }
        for name, state in states.items()
        if "Retry" in state
    }

    raising = attempts.pop("FailOrResume")
    first, *others = attempts.values()
    assert all(other == first for other in others), "the states retry different errors"
    ours = ("Transient.", "Permanent.")
    assert not any(error.startswith(ours) for error in raising), "our error is raised once"
    return first


def without_suffix(value) -> str:
    """A name or a text of the template as it is in a stack without a suffix."""
    text = value["Fn::Sub"] if isinstance(value, dict) else value
    text = text if isinstance(text, str) else text[0]
    return text.replace("${NameSuffix}", "")


def test_every_failure_kind_is_explained_in_the_order_of_the_code(runbook, failures):
    table = rows(runbook, "Errors of the functions")
    assert [row[0].strip("`") for row in table] == list(failures.values())


def test_what_the_runbook_calls_retried_is_what_the_state_machine_retries(
    runbook, failures, states
):
    attempts = retried(states)
    words = {"yes": 6, "twice": 2, "no": None}
    table = rows(runbook, "Errors of the functions")
    table += rows(runbook, "Errors of Lambda and Step Functions")
    explained = {row[0].strip("`"): words[row[1]] for row in table}
    assert len(explained) == len(table), "an error is explained twice"
    assert {name: count for name, count in explained.items() if count} == attempts
    assert {name for name, count in explained.items() if not count} - set(
        failures.values()
    ) == NOT_RETRIED
    for name in failures.values():
        assert (explained[name] is not None) == name.startswith("Transient."), name


def test_what_is_not_retried_is_caught_everywhere(states, failures):
    for name, state in states.items():
        if state["Type"] in {"Task", "Map"} and "Catch" in state:
            assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"], name


def test_every_alarm_is_explained_and_no_other(runbook, template):
    alarms = [
        without_suffix(item["Properties"]["AlarmName"])
        for item in template["Resources"].values()
        if item["Type"] == "AWS::CloudWatch::Alarm"
    ]
    assert [row[0].strip("`") for row in rows(runbook, "Alarms")] == alarms


def test_every_row_says_what_it_means_and_what_to_do(runbook):
    for title, cells in [
        ("Alarms", 3),
        ("Errors of the functions", 4),
        ("Errors of Lambda and Step Functions", 4),
    ]:
        for row in rows(runbook, title):
            assert len(row) == cells and all(row), row


def test_every_parameter_and_name_in_the_runbook_exists(runbook, template):
    known = set(template["Parameters"]) | set(template["Outputs"])
    known |= {
        without_suffix(value)
        for item in template["Resources"].values()
        for value in item["Properties"].values()
        if isinstance(value, str) or (isinstance(value, dict) and "Fn::Sub" in value)
    }
    for name in re.findall(
        r"`((?:LimitIncrease|Alarm|Approval|Referred|Run|Max|Database|Model|Bucket)[A-Za-z]+)`",
        runbook,
    ):
        assert name in known, name


def test_every_link_inside_the_runbook_has_its_section(runbook):
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^## (.*)$", runbook, re.M)
    }
    links = set(re.findall(r"\]\(#([^)]+)\)", runbook))
    assert links <= anchors, links - anchors
