"""The API of SageMaker, as moto's server has it: the pipeline is created, updated and started."""

import json

import boto3
import pytest
from moto.server import ThreadedMotoServer

from conftest import FUNCTIONS
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
        stack = Stack(functions=functions, pipeline_name="limit-increase-pipeline", role=role)
        return RemotePipeline(boto3.Session(region_name="us-east-1"), stack)

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
