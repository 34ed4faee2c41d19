"""Calls the command line `limit-increase`, which knows the request, the services and the home."""

import json
import os
import shlex
import subprocess
from pathlib import Path

from limit_training.errors import EXIT_UNEXPECTED, TrainingError

from . import job

PROJECT = Path(__file__).resolve().parents[2]
CARGO = "cargo run --quiet --bin limit-increase --"


def command() -> list[str]:
    """The command line as words. The Makefile gives it, so that its first build is shown."""
    return shlex.split(os.environ.get("LIMIT_INCREASE_CLI") or CARGO)


def run(*arguments: str) -> str:
    """Runs the command line with --json and returns what it prints. Its errors are ours."""
    words = [*command(), "--json", *arguments]
    try:
        done = subprocess.run(
            words, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
    except OSError as error:
        raise TrainingError(
            f"cannot start {words[0]}: {error.strerror}",
            where="limit-increase",
            next_step="install Rust (https://rustup.rs), or name the built program in"
            " LIMIT_INCREASE_CLI",
            exit_code=EXIT_UNEXPECTED,
        ) from error
    if done.returncode != 0:
        raise _refused(done, arguments)
    return done.stdout


def directory_of(name: str) -> Path:
    """The directory of a job on this machine."""
    home = os.environ.get("LIMIT_INCREASE_HOME")
    return Path(home or PROJECT / ".local").absolute() / "sagemaker" / name


def describe_job(options: list[str], name: str | None) -> job.Job:
    """Has the request written, and remembers the answer, with which the job can be followed."""
    if name and (directory_of(name) / job.RECORD).exists():
        raise job.name_taken_error(directory_of(name))
    answer = json.loads(run("train-sagemaker", *options))
    described = job.from_answer(answer)
    if described.record.exists():
        raise job.name_taken_error(described.directory)
    described.record.write_text(json.dumps(answer), encoding="utf-8")
    return described


def remembered_job(name: str) -> job.Job:
    """A job that was started before."""
    record = directory_of(name) / job.RECORD
    try:
        answer = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"there is no record of a job {name}",
            where=str(record),
            next_step="give the name of a job that was started from here with --start",
        ) from error
    return job.from_answer(answer)


def print_job(options: list[str], as_json: bool) -> int:
    """What `limit-increase train-sagemaker` prints: the request, and the commands that run it."""
    flags = ["--json"] if as_json else []
    return subprocess.run([*command(), *flags, "train-sagemaker", *options], cwd=PROJECT).returncode


def local_endpoint() -> str:
    """The address of the local AWS, which is started if it does not run."""
    return json.loads(run("start"))["endpoint"]


def _refused(done: subprocess.CompletedProcess, arguments: tuple[str, ...]) -> TrainingError:
    try:
        said = json.loads(done.stdout)["error"]
    except (ValueError, KeyError, TypeError):
        said = {}
    return TrainingError(
        said.get("what") or f"`limit-increase {arguments[0]}` ended with {done.returncode}",
        where=said.get("where") or "limit-increase",
        next_step=said.get("next") or "its own message is above",
        exit_code=said.get("exit_code") or done.returncode,
    )
