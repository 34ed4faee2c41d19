"""LocalStack refuses a call of a function that cloudformation/calls.yml does not list."""

from collections.abc import Iterator

import boto3
import pytest
from botocore.exceptions import ClientError

REFUSED = [
    ("score-customers", "put_object", {"Key": "pipeline/evaluations/run=a/part-00000.parquet"}),
    ("score-customers", "put_object", {"Key": "models/catboost_model.tar.gz"}),
    ("score-customers", "list_objects_v2", {}),
    ("score-customers", "list_objects_v2", {"Prefix": "pipeline/results/"}),
    ("score-customers", "list_object_versions", {"Prefix": "models/"}),
    ("score-customers", "delete_object", {"Key": "pipeline/scored_customers/run=a/x"}),
    ("evaluate-limit-increase-test", "get_object", {"Key": "models/catboost_model.tar.gz"}),
]
ANSWERED = [
    ("score-customers", "put_object", {"Key": "pipeline/scored_customers/run=a/x"}),
    ("score-customers", "list_objects_v2", {"Prefix": "pipeline/customers/run=a/"}),
    ("evaluate-limit-increase-test", "put_object", {"Key": "pipeline/evaluations/run=a/x"}),
    # Not a function of ours.
    ("scripted", "list_objects_v2", {}),
]
BUCKET = "calls"


@pytest.fixture(scope="module")
def clients(localstack, function) -> Iterator[dict]:
    """A client for each function, with the credentials that the function has."""
    localstack.client("s3").create_bucket(Bucket=BUCKET)
    clients = {}
    created = {name for name, _, _ in REFUSED + ANSWERED} - {function}
    for name in created | {function}:
        if name in created:
            localstack.create_function(name)
        variables = localstack.invoke(name, do="environment").payload["environment"]
        clients[name] = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{localstack.port}",
            region_name=variables["AWS_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=variables["AWS_SESSION_TOKEN"],
        )
    yield clients
    # Other tests deploy functions and log groups of these names.
    for name in created:
        localstack.client("lambda").delete_function(FunctionName=name)
        localstack.client("logs").delete_log_group(logGroupName=f"/aws/lambda/{name}")


@pytest.mark.parametrize(("function_name", "operation", "request_"), REFUSED)
def test_a_call_that_is_not_listed_is_refused(clients, function_name, operation, request_):
    with pytest.raises(ClientError) as refused:
        getattr(clients[function_name], operation)(Bucket=BUCKET, **request_)
    error = refused.value.response["Error"]
    assert error["Code"] == "AccessDenied"
    assert f"{function_name} called s3:" in error["Message"]


@pytest.mark.parametrize(("function_name", "operation", "request_"), ANSWERED)
def test_a_call_that_is_listed_is_answered(clients, function_name, operation, request_):
    getattr(clients[function_name], operation)(Bucket=BUCKET, **request_)


def test_another_caller_may_do_everything(localstack, clients):
    localstack.client("s3").put_object(Bucket=BUCKET, Key="models/x", Body=b"x")
