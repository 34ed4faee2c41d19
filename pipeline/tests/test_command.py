"""The commands, as far as they need no service: what was typed, and what is printed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from limit_pipeline.command import lines_of
from limit_pipeline.executions import ExecutionRecord

PROGRAM = Path(__file__).resolve().parents[1] / "sagemaker_pipeline.py"


def call(tmp_path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "LIMIT_INCREASE_HOME": str(tmp_path)}
    command = [sys.executable, str(PROGRAM), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("--limit all", "one shard"),
        ("--limit 0", "--limit: must be 1 or more"),
        ("--shard-size 50001", "--shard-size: must be from 1 to 50000"),
        ("--as-of 24.11.2026", "--as-of: "),
        ("--policy absent.json", "the policy absent.json cannot be used"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_starts(tmp_path, typed, words):
    done = call(tmp_path, "start", "--check", "--json", *typed.split())
    assert done.returncode == 2, done.stderr
    assert words in json.loads(done.stdout)["error"]["what"]


def test_a_policy_that_is_too_long_for_a_parameter_is_sent_to_step_functions(tmp_path):
    policy = tmp_path / "policy.json"
    for length, code in ((1_024, 0), (1_025, 2)):
        policy.write_text(json.dumps({"x": "y" * (length - len('{"x":""}'))}))
        done = call(tmp_path, "start", "--check", "--policy", str(policy))
        assert done.returncode == code, done.stderr
    assert "1025 characters" in done.stderr and "Step Functions" in done.stderr


def test_what_needs_no_sdk_does_not_wait_for_its_import(tmp_path):
    done = call(tmp_path, "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no execution yet" in done.stdout
    code = "import limit_pipeline.command, sys; sys.exit('sagemaker' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROGRAM.parent).returncode == 0


def test_a_live_run_on_aws_needs_a_yes(tmp_path):
    done = call(tmp_path, "start", "--target", "aws")
    assert done.returncode == 2 and "nobody to ask" in done.stderr


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
