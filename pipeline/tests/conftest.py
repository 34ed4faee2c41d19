"""Fixtures: the functions of a made-up stack, and the definition over them."""

import gc
import json
from pathlib import Path

import boto3
import pytest

# As sagemaker_pipeline.py does, before the SDK is imported.
gc.disable()

from limit_pipeline.definition import define  # noqa: E402
from limit_pipeline.executions import ExecutionStore  # noqa: E402
from limit_pipeline.local import LocalSession  # noqa: E402
from limit_pipeline.names import Functions  # noqa: E402

PIPELINE = Path(__file__).resolve().parents[1]
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


@pytest.fixture(autouse=True)
def no_report(monkeypatch):
    """The SDK reports its use to its maker, which nothing here may do."""
    from sagemaker.telemetry import telemetry_logging

    def refuse(*arguments: object) -> None:
        raise AssertionError(f"the SDK reports to its maker: {arguments}")

    monkeypatch.setattr(telemetry_logging, "_send_telemetry_request", refuse)


@pytest.fixture
def training_options() -> list[str]:
    """What is typed for a pipeline that trains."""
    return [
        "--train=123456789012.dkr.ecr.us-east-1.amazonaws.com/catboost-sagemaker:latest",
        "--train-role=arn:aws:iam::123456789012:role/Training",
        "--train-data=s3://my-models/training/loans.csv",
        "--train-option=target=defaulted",
        "--train-option=positive=1",
        "--train-option=param=a=1",
        "--train-option=param=b=2",
    ]


@pytest.fixture
def store(tmp_path) -> ExecutionStore:
    return ExecutionStore(tmp_path / "pipeline", ARN)


@pytest.fixture(scope="session")
def local_session(tmp_path_factory) -> LocalSession:
    store = ExecutionStore(tmp_path_factory.mktemp("pipeline"), ARN)
    return LocalSession(store, boto3.Session("test", "test", region_name="us-east-1"))


@pytest.fixture(scope="session")
def pipeline(local_session):
    return define(FUNCTIONS, local_session)


@pytest.fixture(scope="session")
def definition(pipeline) -> dict:
    return json.loads(pipeline.definition())
