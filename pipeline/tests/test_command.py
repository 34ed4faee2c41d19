"""The commands, as far as they need no service: what was typed, and what is printed."""

import io
import json
import os
import subprocess
import sys

import pytest

from conftest import PIPELINE
from limit_pipeline.command import lines_of, main
from limit_pipeline.executions import ExecutionRecord


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("--limit all", "one shard"),
        ("--limit 0", "--limit: must be 1 or more"),
        ("--shard-size 50001", "--shard-size: must be from 1 to 50000"),
        ("--as-of 24.11.2026", "--as-of: "),
        ("--policy absent.json", "the policy absent.json cannot be used"),
        ("--stage test", "--stage names a stack on AWS"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_starts(capsys, typed, words):
    assert main(["start", "--check", "--json", *typed.split()]) == 2
    assert words in json.loads(capsys.readouterr().out)["error"]["what"]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("--target=local", "trains in containers alone"),
        ("--target=aws", "--train needs --role"),
        ("--target=aws --role=arn --train-data=loans.csv", "'loans.csv' is no object in S3"),
        ("--target=aws --role=arn --train-option=target", "'target' is not of the form"),
    ],
)
def test_a_training_that_cannot_be_is_refused_in_one_sentence(
    capsys, training_options, typed, words
):
    assert main(["upsert", "--check", "--json", *training_options, *typed.split()]) == 2
    assert words in json.loads(capsys.readouterr().out)["error"]["what"]


def test_half_of_a_training_names_what_is_missing(capsys):
    assert main(["render", "--check", "--train=image"]) == 2
    assert "needs --train-role, --train-data too" in capsys.readouterr().err


def test_a_policy_that_is_too_long_for_a_parameter_is_sent_to_step_functions(tmp_path, capsys):
    policy = tmp_path / "policy.json"
    for length, code in ((1_024, 0), (1_025, 2)):
        policy.write_text(json.dumps({"x": "y" * (length - len('{"x":""}'))}))
        assert main(["start", "--check", "--policy", str(policy)]) == code
    said = capsys.readouterr().err
    assert "1025 characters" in said and "Step Functions" in said


def test_what_needs_no_sdk_does_not_wait_for_its_import(tmp_path):
    """Nor for that of boto3, which takes a third of a second."""
    code = (
        "import sys; from limit_pipeline.command import main; code = main(['list']);"
        " sys.exit(code or 'sagemaker' in sys.modules or 'boto3' in sys.modules)"
    )
    environment = {**os.environ, "LIMIT_INCREASE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=PIPELINE, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "no execution yet" in done.stdout


def test_a_live_run_on_aws_needs_a_yes(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["start", "--target", "aws"]) == 2
    assert "nobody to ask" in capsys.readouterr().err


def test_an_execution_is_shown_step_by_step_with_its_counts():
    query = {"eligible": 20, "remaining": 1}
    record = ExecutionRecord(
        id="1f0c5b9d3a7e",
        arn="arn",
        pipeline_arn="arn",
        version=3,
        definition_sha256="ab" * 32,
        parameters={},
        status="Failed",
        started=10.0,
        ended=12.0,
        steps=[
            {
                "name": "QueryBatchScores",
                "status": "Succeeded",
                "started": 10.0,
                "ended": 11.0,
                "outputs": query,
            },
            {
                "name": "UpdateDatabase",
                "status": "Failed",
                "started": 11.0,
                "ended": 12.0,
                "failure_reason": "Permanent.DatabaseRefused: no",
            },
        ],
    )
    assert lines_of(record) == [
        "  \u2713 QueryBatchScores         1.0 s  20 customers",
        "  \u2717 UpdateDatabase           1.0 s",
        "      Permanent.DatabaseRefused: no",
        "\nFAILED  pipeline-1f0c5b9d3a7e in 2.0 s",
        "  Definition version 3, sha256 abababababab",
    ]
    record.steps[1] |= {"outputs": {"counts": '{"approved": 16, "declined": 4, "stale": 0}'}}
    assert "16 approved, 4 declined" in lines_of(record)[1]
