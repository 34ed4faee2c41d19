"""A training job's request and its way through AWS, on an emulator that shares no code with it.

moto runs inside the test. It has the SageMaker API, S3 and CloudWatch Logs, and trains nothing: its
jobs are complete when they are made. tests/train_sagemaker has a stand-in whose jobs run.
"""

import io
import time

import boto3
import pytest
from moto import mock_aws

from limit_sagemaker import aws, outcome
from limit_sagemaker.job import Job
from limit_sagemaker.progress import Progress
from limit_training.errors import TrainingError

REGION = "eu-west-1"
ROLE = "arn:aws:iam::123456789012:role/Training"
MODEL = "s3://models/training/a-job/output/a-job/output/model.tar.gz"


@pytest.fixture(autouse=True)
def emulator(no_account):
    with mock_aws():
        yield


@pytest.fixture
def place():
    where = {"LocationConstraint": REGION}
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket="models", CreateBucketConfiguration=where)
    return aws.Place(REGION, poll_seconds=0.01)


@pytest.fixture
def job(tmp_path):
    table = tmp_path / "loans.csv"
    table.write_text("a,b\n1,2\n")
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://models/training/a-job/data/"}
    request = {
        "TrainingJobName": "a-job",
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "HyperParameters": {"target": '"b"'},
        "InputDataConfig": [
            {"ChannelName": "training", "DataSource": {"S3DataSource": source}},
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://models/training/a-job/output/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "EnableInterContainerTrafficEncryption": False,
        "Environment": {"SOURCE_DATE_EPOCH": "1"},
    }
    uploads = {"s3://models/training/a-job/data/loans.csv": table}
    return Job(request, uploads, tmp_path, "s3://models/models/catboost_model.tar.gz")


@pytest.fixture
def progress(tmp_path):
    return Progress(tmp_path / "job.log", stream=io.StringIO())


def write_log(*lines: str, stream: str = "a-job/algo-1-1") -> None:
    logs = boto3.client("logs", region_name=REGION)
    logs.create_log_group(logGroupName=aws.LOG_GROUP)
    place = {"logGroupName": aws.LOG_GROUP, "logStreamName": stream}
    logs.create_log_stream(**place)
    events = [{"timestamp": int(time.time() * 1000), "message": line} for line in lines]
    logs.put_log_events(**place, logEvents=events)


def test_a_job_is_made_followed_and_its_model_fetched(job, place, progress, tmp_path):
    aws.start(job, place, progress)
    described = place.client("sagemaker").describe_training_job(TrainingJobName="a-job")
    for name in ("HyperParameters", "InputDataConfig", "ResourceConfig", "RoleArn"):
        assert described[name] == job.request[name], name

    write_log("first", "second")
    place.client("s3").put_object(
        Bucket="models", Key=MODEL.removeprefix("s3://models/"), Body=b"model"
    )
    ended, uri = aws.follow("a-job", place, progress)
    assert ended == outcome.Outcome("Completed") and uri == MODEL
    assert progress.log.read_text() == "first\nsecond\n"
    assert "Starting     Preparing the instances for training" in progress.stream.getvalue()
    assert aws.fetch(uri, tmp_path / "model.tar.gz", place).read_bytes() == b"model"
    aws.put(tmp_path / "model.tar.gz", job.destination, place)
    found = place.client("s3").get_object(Bucket="models", Key="models/catboost_model.tar.gz")
    assert found["Body"].read() == b"model"


def test_a_line_of_the_log_is_shown_once_and_other_jobs_are_not_read(place):
    write_log("first")
    logs = place.client("logs")
    other = {"logGroupName": aws.LOG_GROUP, "logStreamName": "a-job-2/algo-1-1"}
    logs.create_log_stream(**other)
    event = {"timestamp": int(time.time() * 1000), "message": "other"}
    logs.put_log_events(**other, logEvents=[event])

    log = aws.Log("a-job", place)
    assert list(log.new_lines()) == ["first"]
    assert list(log.new_lines()) == []
    same = {"logGroupName": aws.LOG_GROUP, "logStreamName": "a-job/algo-1-1"}
    logs.put_log_events(**same, logEvents=[{**event, "message": "second"}])
    assert list(log.new_lines()) == ["second"]


def test_a_job_without_a_log_has_none_yet(place):
    assert list(aws.Log("a-job", place).new_lines()) == []


def test_what_aws_refuses_is_told_with_what_was_tried(job, place, progress):
    with pytest.raises(TrainingError, match="cannot describe the training job: .*a-job"):
        aws.follow("a-job", place, progress)
    place.client("s3").delete_bucket(Bucket="models")
    with pytest.raises(TrainingError, match="cannot upload the files of the job: .*NoSuchBucket"):
        aws.start(job, place, progress)


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (
            {"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError: no column"},
            outcome.Outcome("Failed", reason="AlgorithmError: no column"),
        ),
        (
            {"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"},
            outcome.Outcome("Stopped", reason="MaxRuntimeExceeded"),
        ),
    ],
    ids=["failed", "stopped"],
)
def test_a_job_that_does_not_end_well_has_the_reason_of_aws(place, progress, described, expected):
    class Client:
        def describe_training_job(self, TrainingJobName: str) -> dict:
            return described

    place.clients["sagemaker"] = Client()
    assert aws.follow("a-job", place, progress) == (expected, "")
