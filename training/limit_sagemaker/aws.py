"""Starts a job on AWS, follows its state and its log, and fetches its model.

Source: CreateTrainingJob and DescribeTrainingJob in Amazon's API reference. The log of a job is the
streams `<job>/..` of one group of CloudWatch Logs.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from limit_training.errors import EXIT_UNEXPECTED, TrainingError

from . import outcome
from .job import Job
from .progress import Progress

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
# A job that is followed for an hour meets errors of the network.
RETRIES = Config(retries={"mode": "standard", "max_attempts": 8})


@dataclass
class Place:
    """The region of a job, with the clients that call it."""

    region: str
    poll_seconds: float
    clients: dict = field(default_factory=dict)

    def client(self, service: str) -> object:
        if service not in self.clients:
            made = boto3.client(service, region_name=self.region, config=RETRIES)
            self.clients[service] = made
        return self.clients[service]


def start(job: Job, place: Place, progress: Progress) -> None:
    progress.state("Uploading", f"{len(job.uploads)} files to S3")
    with calls("upload the files of the job"):
        for uri, file in job.uploads.items():
            place.client("s3").upload_file(str(file), *split(uri))
    with calls("create the training job"):
        place.client("sagemaker").create_training_job(**job.request)
    progress.state("Starting", f"{job.name} in {place.region}")


def follow(name: str, place: Place, progress: Progress) -> tuple[outcome.Outcome, str]:
    """Shows states and log until the job has ended. Returns the outcome and the model's place."""
    log, seen = Log(name, place), 0
    while True:
        with calls("describe the training job"):
            job = place.client("sagemaker").describe_training_job(TrainingJobName=name)
        transitions = job.get("SecondaryStatusTransitions", [])
        for transition in transitions[seen:]:
            progress.state(transition["Status"], transition.get("StatusMessage", ""))
        seen = len(transitions)
        # The state is asked before the log, so the log is complete when the job has ended.
        with calls("read the log of the job"):
            for line in log.new_lines():
                progress.line(line)

        status = job["TrainingJobStatus"]
        if status in (outcome.COMPLETED, outcome.FAILED, outcome.STOPPED):
            # A stopped job has its reason in the secondary state alone, as MaxRuntimeExceeded.
            reason = job.get("FailureReason") or (
                job.get("SecondaryStatus", "") if status == outcome.STOPPED else ""
            )
            place_of_model = job.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
            return outcome.Outcome(status, reason=reason), place_of_model
        time.sleep(place.poll_seconds)


def fetch(uri: str, path: Path, place: Place) -> Path:
    with calls("fetch the model"):
        path.parent.mkdir(parents=True, exist_ok=True)
        place.client("s3").download_file(*split(uri), str(path))
    return path


def put(path: Path, uri: str, place: Place) -> None:
    with calls("put the model where the functions read it"):
        place.client("s3").upload_file(str(path), *split(uri))


def split(uri: str) -> tuple[str, str]:
    """The bucket and the key of `s3://bucket/key`."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


@dataclass
class Log:
    """The log of one job in CloudWatch, as far as it has been read."""

    name: str
    place: Place
    tokens: dict[str, str] = field(default_factory=dict)

    def new_lines(self) -> Iterator[str]:
        logs = self.place.client("logs")
        try:
            pages = logs.get_paginator("describe_log_streams").paginate(
                logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self.name}/"
            )
            streams = [found["logStreamName"] for page in pages for found in page["logStreams"]]
        except logs.exceptions.ResourceNotFoundException:
            # The group is made with the account's first job, and the stream with its first line.
            return
        for stream in streams:
            yield from self._lines_of(stream, logs)

    def _lines_of(self, stream: str, logs: object) -> Iterator[str]:
        while True:
            token = self.tokens.get(stream)
            page = logs.get_log_events(
                logGroupName=LOG_GROUP,
                logStreamName=stream,
                startFromHead=True,
                **({"nextToken": token} if token else {}),
            )
            for event in page["events"]:
                yield event["message"]
            # The same token again means that there is nothing more for now.
            if page["nextForwardToken"] == token:
                return
            self.tokens[stream] = page["nextForwardToken"]


@contextmanager
def calls(what: str) -> Iterator[None]:
    """Turns an error of AWS into one that says what was tried."""
    try:
        yield
    except (BotoCoreError, ClientError, Boto3Error) as error:
        raise TrainingError(
            f"cannot {what}: {error}",
            where="AWS",
            next_step="check the credentials, the region, the role and the bucket; docs/aws.md"
            " says what the job needs",
            exit_code=EXIT_UNEXPECTED,
        ) from error
