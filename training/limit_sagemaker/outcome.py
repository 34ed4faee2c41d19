"""How a job ended, in the words of DescribeTrainingJob."""

from dataclasses import dataclass
from pathlib import Path

COMPLETED, FAILED, STOPPED = "Completed", "Failed", "Stopped"
# DescribeTrainingJob shows this much of the file `failure`.
REASON_CHARACTERS = 1024
KILLED = 128


@dataclass(frozen=True)
class Outcome:
    """The state of a job that has ended. The exit code is the container's; AWS tells none."""

    status: str
    exit_code: int | None = None
    reason: str = ""


def of_container(exit_code: int, root: Path, stopped: str = "") -> Outcome:
    """The outcome of a container, or of a process in its place, that ended with this code."""
    if exit_code < 0:
        # A process that a signal ended; a container's code is this.
        exit_code = KILLED - exit_code
    if stopped:
        return Outcome(STOPPED, exit_code, stopped)
    if exit_code == 0:
        return Outcome(COMPLETED, 0)
    reason = failure(root) or f"the training ended with {exit_code} and gave no reason"
    return Outcome(FAILED, exit_code, reason)


def failure(root: Path) -> str:
    """What the job wrote into the file `failure`, as much of it as SageMaker shows."""
    try:
        text = (root / "output" / "failure").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text[:REASON_CHARACTERS]
