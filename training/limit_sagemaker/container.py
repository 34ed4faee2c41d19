"""Runs a job in a container of the image, with SageMaker's folders mounted into it."""

import subprocess
from pathlib import Path

from limit_training.errors import TrainingError

from . import engine, layout, outcome, process
from .job import Job
from .progress import Progress


def run(job: Job, image: str, progress: Progress) -> outcome.Outcome:
    program = engine.find()
    if not engine.has_image(program, image):
        raise TrainingError(
            f"{Path(program).name} has no image {image}",
            where="--container",
            next_step="build it: make build-docker"
            if image == engine.IMAGE
            else f"pull it: {Path(program).name} pull {image}",
        )

    progress.state("Downloading", "the input data")
    root = layout.make(job)
    progress.state("Training", f"{image} in {Path(program).name}")
    limit = job.request["StoppingCondition"]["MaxRuntimeInSeconds"]
    try:
        code, stopped = process.follow(command(program, image, job, root), progress.line, limit)
    except KeyboardInterrupt:
        # The engine's program is gone, and the container may go on.
        remove(program, job)
        raise
    if stopped:
        remove(program, job)
    return outcome.of_container(code, root, stopped)


def command(program: str, image: str, job: Job, root: Path) -> list[str]:
    """The command that runs the container as SageMaker does: with the word `train`."""
    # SELinux lets a container read a mounted folder only if it is labelled. Podman is what the
    # systems with SELinux have.
    label = ",z" if Path(program).name == "podman" else ""
    words = [program, "run", "--rm", "--name", job.name, "--hostname", layout.HOST]
    for folder, access in (("input", "ro"), ("model", "rw"), ("output", "rw")):
        words += ["--volume", f"{root / folder}:/opt/ml/{folder}:{access}{label}"]
    variables = {**job.request.get("Environment", {}), "TRAINING_JOB_NAME": job.name}
    for name, value in variables.items():
        words += ["--env", f"{name}={value}"]
    return [*words, image, "train"]


def remove(program: str, job: Job) -> None:
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([program, "rm", "--force", job.name], **silent)
