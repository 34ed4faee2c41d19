"""Fixtures: a real LocalStack with our executor, and functions in it."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

import boto3
import psutil
import pytest
from botocore.config import Config

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(condition, seconds: float = 10):
    """Waits until the condition holds and returns its value."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.05)
    return result


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class Result:
    """What an invocation returned, and the end of its log."""

    payload: object
    failed: bool
    log: str


class LocalStack:
    """A LocalStack that serve.py runs, with files in a directory of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        command = [
            sys.executable,
            str(SCRIPTS / "serve.py"),
            "run",
            "--port",
            str(self.port),
            "--home",
            str(home),
        ]
        # The variables of whoever runs the tests must not influence LocalStack.
        environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
        home.mkdir(parents=True)
        self.log = home / "localstack.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            eventually(self.is_healthy, 60)
        except AssertionError:
            self.process.kill()
            pytest.fail(f"LocalStack does not start:\n{self.log.read_text()}")

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/_localstack/health", timeout=2
            ) as answer:
                return answer.status == 200
        except OSError:
            return False

    def client(self, service: str, region: str = "us-east-1"):
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, max_pool_connections=32),
        )

    def create_function(
        self, name: str, timeout: int = 3, mode: int = 0o755, **variables: str
    ) -> None:
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = mode << 16
            archive.writestr(entry, (HERE / "function" / "bootstrap").read_bytes())
        self.client("lambda").create_function(
            FunctionName=name,
            Runtime="provided.al2023",
            Handler="bootstrap",
            Role="arn:aws:iam::000000000000:role/function",
            Code={"ZipFile": package.getvalue()},
            Timeout=timeout,
            MemorySize=256,
            Environment={"Variables": variables},
        )

    def invoke(self, name: str, **event: object) -> Result:
        answer = self.client("lambda").invoke(
            FunctionName=name, Payload=json.dumps(event), LogType="Tail"
        )
        log = base64.b64decode(answer["LogResult"]).decode()
        return Result(json.loads(answer["Payload"].read()), "FunctionError" in answer, log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            pytest.fail(f"LocalStack does not stop:\n{self.log.read_text()}")


@pytest.fixture(scope="session")
def localstack(tmp_path_factory):
    server = LocalStack(tmp_path_factory.mktemp("localstack") / "home")
    yield server
    if server.process.poll() is None:
        server.stop()


@pytest.fixture(scope="session")
def function(localstack) -> str:
    localstack.create_function("scripted", COLOUR="green")
    return "scripted"


@pytest.fixture
def no_account(monkeypatch):
    """Credentials that belong to nobody, for moto, whatever the environment has."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
