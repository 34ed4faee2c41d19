"""Fixtures: the functions of a made-up stack, and the definition over them."""

import json

import boto3
import pytest

from limit_pipeline.definition import define
from limit_pipeline.executions import ExecutionStore
from limit_pipeline.local import LocalSession
from limit_pipeline.names import Functions

ARN = "arn:aws:sagemaker:us-east-1:000000000000:pipeline/limit-increase-pipeline"
FUNCTIONS = Functions(
    *[
        f"arn:aws:lambda:us-east-1:123456789012:function:{name}:7"
        for name in (
            "query-batch-scores",
            "score-customers",
            "evaluate-limit-increase",
            "update-database",
        )
    ]
)


@pytest.fixture(autouse=True)
def no_account(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(tmp_path) -> ExecutionStore:
    return ExecutionStore(tmp_path / "pipeline", ARN)


@pytest.fixture
def pipeline(store):
    return define(FUNCTIONS, LocalSession(store, boto3.Session(region_name="us-east-1")))


@pytest.fixture
def definition(pipeline) -> dict:
    return json.loads(pipeline.definition())
