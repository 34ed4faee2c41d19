"""The API of SageMaker, as moto's server has it: the pipeline is created, updated and started."""

import json
from datetime import UTC, datetime

import boto3
import pytest
from moto.core.responses import ActionResult
from moto.sagemaker.responses import SageMakerResponse
from moto.server import ThreadedMotoServer

from conftest import FUNCTIONS
from limit_pipeline import command, stack
from limit_pipeline.errors import PipelineError
from limit_pipeline.remote import RemotePipeline
from limit_pipeline.stack import Stack

ROLE = "arn:aws:iam::123456789012:role/LimitIncreasePipelineRole"


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def remote(server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)

    def remote(functions=FUNCTIONS, role: str | None = ROLE) -> RemotePipeline:
        found = Stack(functions=functions, pipeline_name="limit-increase-pipeline", role=role)
        return RemotePipeline(boto3.Session(region_name="us-east-1"), found)

    return remote


def test_the_api_takes_the_definition_and_starts_it(remote, definition):
    pipeline = remote()
    arn = pipeline.upsert(None)["pipeline_arn"]
    described = pipeline.describe_pipeline()
    assert described["PipelineArn"] == arn and described["RoleArn"] == ROLE
    assert described["PipelineDefinition"] == definition

    # A new deployment has other versions of the functions: the pipeline is updated.
    newer = remote(FUNCTIONS.__class__(*[f"{arn}0" for arn in vars(FUNCTIONS).values()]))
    assert newer.upsert(None)["pipeline_arn"] == arn
    assert "query-batch-scores:70" in json.dumps(newer.describe_pipeline()["PipelineDefinition"])

    parameters = {"Limit": 7, "DryRun": True, "Policy": "in force"}
    execution = newer.start(parameters, "night-1")["arn"]
    (found,) = newer.list()
    assert found["PipelineExecutionArn"] == execution
    parameters = newer.client.list_pipeline_parameters_for_execution(PipelineExecutionArn=execution)
    values = {p["Name"]: p["Value"] for p in parameters["PipelineParameters"]}
    assert values == {"Limit": "7", "DryRun": "true", "Policy": "in force"}
    described = newer.client.describe_pipeline_execution(PipelineExecutionArn=execution)
    assert described["PipelineArn"] == arn


def test_a_stack_without_the_pipeline_s_role_says_how_to_make_it(remote):
    with pytest.raises(PipelineError, match="no role") as refused:
        remote(role=None).upsert(None)
    assert "Pipeline=manual" in refused.value.next


@pytest.fixture
def on_aws(server, monkeypatch, capsys):
    """The program for the stack of a stage. moto's CloudFormation needs more than is installed."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    def find(session: boto3.Session, name: str) -> Stack:
        assert name == "limit-increase-test"
        return Stack(functions=FUNCTIONS, pipeline_name="limit-increase-pipeline-test", role=ROLE)

    monkeypatch.setattr(stack, "find", find)

    def on_aws(*typed: str) -> tuple[int, str]:
        code = command.main([*typed, "--target", "aws", "--stage", "test"])
        return code, capsys.readouterr().out

    return on_aws


def test_the_commands_work_on_the_pipeline_of_a_stage(on_aws, server):
    code, shown = on_aws("upsert", "--json")
    arn = json.loads(shown)["pipeline_arn"]
    assert code == 0 and arn.endswith(":pipeline/limit-increase-pipeline-test")
    code, shown = on_aws("describe", "--json")
    assert json.loads(shown)["PipelineArn"] == arn and json.loads(shown)["RoleArn"] == ROLE

    code, shown = on_aws("start", "--limit", "7", "--yes", "--token", "night-1", "--json")
    execution = json.loads(shown)["arn"]
    assert code == 0 and execution.startswith(f"{arn}/execution/")
    code, shown = on_aws("list")
    assert code == 0 and execution.rsplit("/", 1)[1] in shown and "Succeeded" in shown


def test_an_execution_on_aws_is_described_step_by_step(on_aws, monkeypatch):
    """moto lists no steps, so this one call of its API is added to its server."""
    on_aws("upsert")
    _, shown = on_aws("start", "--dry-run", "--json")
    arn = json.loads(shown)["arn"]
    opened = [{"Name": "eligible", "Value": "20"}, {"Name": "remaining", "Value": "1"}]
    first = {
        "StepName": "QueryBatchScores",
        "StepStatus": "Succeeded",
        "StartTime": datetime(2026, 11, 25, 2, 0, 0, tzinfo=UTC),
        "EndTime": datetime(2026, 11, 25, 2, 0, 1, tzinfo=UTC),
        "Metadata": {"Lambda": {"Arn": FUNCTIONS.query_batch_scores, "OutputParameters": opened}},
    }
    second = {
        "StepName": "SageMakerInference",
        "StepStatus": "Failed",
        "StartTime": datetime(2026, 11, 25, 2, 0, 1, tzinfo=UTC),
        "EndTime": datetime(2026, 11, 25, 2, 0, 3, tzinfo=UTC),
        "FailureReason": "Permanent.ModelMissing: no model",
    }

    def list_pipeline_execution_steps(self: SageMakerResponse) -> ActionResult:
        assert self._get_param("PipelineExecutionArn") == arn
        if self._get_param("NextToken") is None:
            return ActionResult({"PipelineExecutionSteps": [first], "NextToken": "2"})
        return ActionResult({"PipelineExecutionSteps": [second]})

    name = list_pipeline_execution_steps.__name__
    monkeypatch.setattr(SageMakerResponse, name, list_pipeline_execution_steps, raising=False)
    code, shown = on_aws("describe", arn.rsplit("/", 1)[1])
    assert code == 0
    lines = shown.splitlines()
    assert lines[:3] == [
        "  \u2713 QueryBatchScores         1.0 s  20 customers",
        "  \u2717 SageMakerInference       2.0 s",
        "      Permanent.ModelMissing: no model",
    ], "all pages"
    assert lines[-1].endswith(arn)
    with pytest.raises(PipelineError, match="cannot be described"):
        command.describe(
            command.parser().parse_args(["describe", "nobody", "--target=aws", "--stage=test"])
        )


def test_the_api_takes_a_pipeline_that_trains(server, on_aws, training_options):
    role = "arn:aws:iam::123456789012:role/Pipeline"
    assert on_aws("upsert", "--role", role, *training_options)[0] == 0
    described = json.loads(on_aws("describe", "--json")[1])
    assert described["RoleArn"] == role
    steps = described["PipelineDefinition"]["Steps"][0]["Arguments"]["IfSteps"]
    assert [step["Type"] for step in steps] == ["Training", "RegisterModel", "Lambda"]
