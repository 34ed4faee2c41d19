"""The objects of a run in LocalStack's S3, and the function processes that LocalStack runs.

The functions that are driven directly use LocalStack's S3 too. So the two ways of driving them
differ only in the driving. At the default shard size this S3 takes about a tenth of their CPU
seconds; the report shows it on a line of its own.
"""

import urllib.request
from pathlib import Path

from . import machine
from .functions import StepCost

BUCKET = "credit-scoring-models"

# By process id: the name of the function, and its cost so far.
Processes = dict[int, tuple[str, StepCost]]


def read(environment: machine.Environment, bucket: str, key: str) -> bytes:
    with urllib.request.urlopen(f"{environment.endpoint}/{bucket}/{key}") as answer:
        return answer.read()


def fetch(environment: machine.Environment, prefix: str, target: Path) -> None:
    """Copies the objects of a prefix into a directory."""
    environment.aws("s3", "cp", "--quiet", "--recursive", f"s3://{BUCKET}/{prefix}", str(target))


def remove(environment: machine.Environment, run: str) -> None:
    """Removes a run's objects, which would fill LocalStack's memory and disk."""
    for stage in ("customers", "scored_customers", "evaluations", "results"):
        prefix = f"s3://{BUCKET}/pipeline/{stage}/run={run}/"
        environment.aws("s3", "rm", "--quiet", "--recursive", prefix)


def function_processes(pid: int) -> Processes:
    """The function processes below a process of LocalStack."""
    found = {}
    for child in machine.children(pid):
        try:
            name = function_name(child)
            if name is None:
                found |= function_processes(child)
            else:
                cpu, peak = machine.cpu_seconds(child), machine.peak_mb(child)
                found[child] = (name, StepCost(cpu_seconds=cpu, peak_mb=peak))
        except (FileNotFoundError, ProcessLookupError):
            # The process has ended in the meantime.
            continue
    return found


def function_name(pid: int) -> str | None:
    """The name in a process's environment if it is a function's process."""
    start = b"AWS_LAMBDA_FUNCTION_NAME="
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next(
        (line.removeprefix(start).decode() for line in variables if line.startswith(start)), None
    )


def costs_since(before: Processes, after: Processes) -> dict[str, StepCost]:
    """The cost of each function between two looks at its processes."""
    steps: dict[str, StepCost] = {}
    for pid, (name, cost) in after.items():
        earlier = before[pid][1].cpu_seconds if pid in before else 0.0
        total = steps.setdefault(name, StepCost())
        total.cpu_seconds += cost.cpu_seconds - earlier
        total.peak_mb = max(total.peak_mb, cost.peak_mb)
    return steps
