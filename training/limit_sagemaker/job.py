"""A training job: the request of CreateTrainingJob, and the files that it names in S3."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from limit_training.errors import TrainingError

SOURCE = "sagemaker_submit_directory"
PROGRAM = "sagemaker_program"
# The file in a job's directory with the answer that the job was made from.
RECORD = "job.json"


@dataclass(frozen=True)
class Job:
    """What a job is. `uploads` has the local file of each object in S3 that the job reads."""

    request: dict
    uploads: dict[str, Path]
    # The job's own directory on this machine, and the place in S3 where the functions read a model.
    directory: Path
    destination: str

    @property
    def name(self) -> str:
        return self.request["TrainingJobName"]

    @property
    def opt_ml(self) -> Path:
        return self.directory / "opt" / "ml"

    @property
    def record(self) -> Path:
        return self.directory / RECORD

    def channel_files(self, channel: dict) -> dict[str, Path]:
        """The files of a channel by their path in it."""
        prefix = channel["DataSource"]["S3DataSource"]["S3Uri"]
        return {
            uri.removeprefix(prefix).lstrip("/"): file
            for uri, file in self.uploads.items()
            if uri.startswith(prefix)
        }


def from_answer(answer: dict) -> Job:
    """The job that `limit-increase --json train-sagemaker` describes.

    Its commands say which file belongs at which place in S3.
    """
    copies = [
        shlex.split(step["command"])[3:]
        for step in answer["steps"]
        if step["command"].startswith("aws s3 cp ")
    ]
    uploads = {target: Path(source) for source, target in copies if not source.startswith("s3://")}
    # The last command puts the finished artifact where the functions read it.
    destination = copies[-1][1]
    uploads.pop(destination)
    return Job(answer["request"], uploads, Path(answer["directory"]), destination)


def with_environment(job: Job, variables: dict[str, str]) -> Job:
    """The same job with these variables in its container's environment."""
    if not variables:
        return job
    environment = {**job.request.get("Environment", {}), **variables}
    request = {**job.request, "Environment": environment}
    return Job(request, job.uploads, job.directory, job.destination)


def name_taken_error(directory: Path) -> TrainingError:
    return TrainingError(
        f"there is a job of the name {directory.name} already",
        where=str(directory),
        next_step="give another name with --job, or none",
    )
