"""S3 for the functions driven directly, how to read what a run left in it, and the functions that LocalStack runs.

Either LocalStack's S3, or s3s-fs: a small S3 server in Rust that keeps objects as files, whose share of the time is
small enough to see the functions'.
"""

import os
import socket
import subprocess
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile, rmtree

import end_to_end_machine as machine
from end_to_end_functions import Step

BUCKET, MODEL_KEY = "credit-scoring-models", "models/catboost_model.tar.gz"
S3S_VERSION = "0.14.1"


@dataclass
class Storage:
    """An S3 server."""

    endpoint: str
    pid: int
    environment: machine.Environment
    # Where its buckets are as directories, if they are.
    root: Path | None = None

    def read(self, bucket: str, key: str) -> bytes:
        if self.root is not None:
            return (self.root / bucket / key).read_bytes()
        with urllib.request.urlopen(f"{self.endpoint}/{bucket}/{key}") as answer:
            return answer.read()

    def fetch(self, prefix: str, target: Path) -> None:
        """Copies the objects of a prefix into a directory."""
        if self.root is None:
            self.environment.aws("s3", "cp", "--quiet", "--recursive", f"s3://{BUCKET}/{prefix}", str(target))
            return
        for file in (self.root / BUCKET / prefix).iterdir():
            copyfile(file, target / file.name)


@contextmanager
def open_storage(kind: str, environment: machine.Environment, directory: Path) -> Iterator[Storage]:
    if kind == "localstack":
        yield Storage(environment.endpoint, environment.localstack_pid, environment)
        return
    program = ensure_s3s(environment.home)
    root = directory / "s3"
    rmtree(root, ignore_errors=True)
    (root / BUCKET / MODEL_KEY).parent.mkdir(parents=True)
    copyfile(environment.artifact, root / BUCKET / MODEL_KEY)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        program,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--access-key",
        "test",
        "--secret-key",
        "test",
        root,
    ]
    with (directory / "s3.log").open("ab") as log:
        process = subprocess.Popen(
            list(map(str, command)), env={"RUST_LOG": "warn", "PATH": os.environ["PATH"]}, stdout=log, stderr=log
        )
    try:
        wait_for(port)
        yield Storage(f"http://127.0.0.1:{port}", process.pid, environment, root)
    finally:
        process.terminate()
        process.wait()


def ensure_s3s(home: Path) -> Path:
    program = home / "s3s" / "bin" / "s3s-fs"
    if not program.exists():
        command = ["cargo", "install", "s3s-fs", "--version", S3S_VERSION, "--locked", "--features", "binary"]
        subprocess.run([*command, "--root", str(home / "s3s")], check=True)
    return program


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def function_processes(pid: int) -> dict[int, tuple[str, Step]]:
    """The functions' processes below LocalStack's: their names, and what they took so far."""
    found = {}
    for child in machine.children(pid):
        try:
            variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            names = [
                line.partition(b"=")[2].decode() for line in variables if line.startswith(b"AWS_LAMBDA_FUNCTION_NAME=")
            ]
            if names:
                step = Step(cpu_seconds=machine.cpu_seconds(child), peak_mb=machine.peak_mb(child))
                found[child] = (names[0], step)
            else:
                found |= function_processes(child)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def steps_since(before: dict[int, tuple[str, Step]], after: dict[int, tuple[str, Step]]) -> dict[str, Step]:
    steps: dict[str, Step] = defaultdict(Step)
    for pid, (name, step) in after.items():
        total = steps[name]
        total.cpu_seconds += step.cpu_seconds - (before[pid][1].cpu_seconds if pid in before else 0.0)
        total.peak_mb = max(total.peak_mb, step.peak_mb)
    return steps
