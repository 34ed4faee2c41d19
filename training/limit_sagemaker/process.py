"""Runs a job's program as a process, as SageMaker's toolkit does inside of a container."""

import contextlib
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

from . import layout, outcome, variables
from .job import PROGRAM, SOURCE, Job
from .progress import Progress

# SageMaker stops a job with SIGTERM, and with SIGKILL after this time.
GRACE_SECONDS = 120


def run(job: Job, progress: Progress) -> outcome.Outcome:
    progress.state("Downloading", "the input data and the packed trainer")
    root = layout.make(job)
    parameters = variables.hyperparameters(root)
    code = unpack(job.uploads[parameters[SOURCE]], root / "code")

    progress.state("Training", f"{parameters[PROGRAM]} as a process of this machine")
    command = [sys.executable, parameters[PROGRAM], *variables.arguments(parameters)]
    limit = job.request["StoppingCondition"]["MaxRuntimeInSeconds"]
    code, stopped = follow(command, progress.line, limit, cwd=code, env=environment(job, root))
    return outcome.of_container(code, root, stopped)


def environment(job: Job, root: Path) -> dict[str, str]:
    """The variables of the program: the job's, and of this process what any program needs."""
    names = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")
    return {
        **{name: os.environ[name] for name in names if name in os.environ},
        **job.request.get("Environment", {}),
        **variables.variables(root),
        "PYTHONUNBUFFERED": "1",
        "TRAINING_JOB_NAME": job.name,
    }


def unpack(archive: Path, folder: Path) -> Path:
    folder.mkdir()
    with tarfile.open(archive) as packed:
        # `extractall` is only safe with a filter, which Python has from 3.11.4 on. These are files
        # that `limit-increase` has just packed.
        for member in packed:
            file = folder / member.name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(packed.extractfile(member).read())
    return folder


def follow(
    command: list[str], show: Callable[[str], None], limit: float, **options: object
) -> tuple[int, str]:
    """Runs a program and shows every line of it. Returns its code, and why it was stopped."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        **options,
    )
    stopped = threading.Event()
    watchdog = threading.Timer(limit, _stop, (process, stopped))
    watchdog.daemon = True
    watchdog.start()
    try:
        for line in process.stdout:
            show(line.rstrip())
        code = process.wait()
    except BaseException:
        # Ctrl-C has reached the program too, as a member of the same group of the terminal.
        process.kill()
        process.wait()
        raise
    finally:
        watchdog.cancel()
    reason = f"MaxRuntimeExceeded: it took more than {limit:g} s" if stopped.is_set() else ""
    return code, reason


def _stop(process: subprocess.Popen, stopped: threading.Event) -> None:
    stopped.set()
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
        return
    process.kill()
