"""What a run left in S3, and the functions that LocalStack runs.

The functions driven directly use LocalStack's S3 too: it takes about a tenth of their CPU seconds at the default shard
size, is shown on a line of its own, and both ways of driving them then differ in nothing but the driving.
"""

import urllib.request
from pathlib import Path

from . import machine
from .functions import Step

BUCKET = "credit-scoring-models"


def read(environment: machine.Environment, bucket: str, key: str) -> bytes:
    with urllib.request.urlopen(f"{environment.endpoint}/{bucket}/{key}") as answer:
        return answer.read()


def fetch(environment: machine.Environment, prefix: str, target: Path) -> None:
    """Copies the objects of a prefix into a directory."""
    environment.aws("s3", "cp", "--quiet", "--recursive", f"s3://{BUCKET}/{prefix}", str(target))


def forget(environment: machine.Environment, run: str) -> None:
    """Removes a run's objects, which LocalStack keeps in memory and on disk."""
    for stage in ("customers", "scored_customers", "evaluations", "results"):
        environment.aws(
            "s3", "rm", "--quiet", "--recursive", f"s3://{BUCKET}/pipeline/{stage}/run={run}/"
        )


def function_processes(pid: int) -> dict[int, tuple[str, Step]]:
    """The functions' processes below LocalStack's: their names, and what they took so far."""
    found = {}
    for child in machine.children(pid):
        try:
            variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            name = next(
                (line for line in variables if line.startswith(b"AWS_LAMBDA_FUNCTION_NAME=")), None
            )
            if name is None:
                found |= function_processes(child)
            else:
                step = Step(cpu_seconds=machine.cpu_seconds(child), peak_mb=machine.peak_mb(child))
                found[child] = (name.partition(b"=")[2].decode(), step)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def steps_since(
    before: dict[int, tuple[str, Step]], after: dict[int, tuple[str, Step]]
) -> dict[str, Step]:
    steps: dict[str, Step] = {}
    for pid, (name, step) in after.items():
        total = steps.setdefault(name, Step())
        total.cpu_seconds += step.cpu_seconds - (
            before[pid][1].cpu_seconds if pid in before else 0.0
        )
        total.peak_mb = max(total.peak_mb, step.peak_mb)
    return steps
