"""A local environment of its own for the tests, and an AWS whose SageMaker is a stand-in."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

ROOT = Path(__file__).resolve().parents[2]
# The tables of the trainer's own tests.
sys.path.insert(0, str(ROOT / "training" / "tests"))

from sagemaker_stand_in import SageMaker  # noqa: E402

from tables import small_table, write_csv  # noqa: E402

REGION = "us-east-1"


def built_command_line() -> str:
    """The command line's program. The tests call it without cargo, because SOURCE_DATE_EPOCH is set
    for them, and with another value of it cargo compiles most crates again."""
    build = ["cargo", "build", "--locked", "--bin", "limit-increase", "--message-format=json"]
    done = subprocess.run(build, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = map(json.loads, done.stdout.splitlines())
    (program,) = filter(None, (message.get("executable") for message in messages))
    return program


@dataclass
class Local:
    """The environment: its home, its table, and its programs."""

    home: Path
    table: Path
    program: str
    endpoint: str = ""

    def environment(self, **variables: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return {
            **kept,
            "LIMIT_INCREASE_HOME": str(self.home),
            "LIMIT_INCREASE_CLI": self.program,
            "SOURCE_DATE_EPOCH": "1795485668",
            **variables,
        }

    def limit_increase(self, *arguments: str) -> dict:
        """Calls the command line, and returns its answer."""
        command = [self.program, "--json", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment(), stdout=subprocess.PIPE, text=True, check=True
        )
        return json.loads(done.stdout)

    def train(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        """Calls train_sagemaker.py with the table and few trees."""
        command = [sys.executable, "training/train_sagemaker.py", f"--data={self.table}"]
        command += ["--target=outcome", "--positive=Decline", *arguments]
        return subprocess.run(
            [*command, "--", "--iterations=25", "--depth=4"],
            cwd=ROOT,
            env=self.environment(**variables),
            capture_output=True,
            text=True,
        )

    def client(self, service: str):  # noqa: ANN201
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def published(self, bucket: str = "credit-scoring-models") -> bytes:
        key = "models/catboost_model.tar.gz"
        return self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()

    @property
    def model(self) -> bytes:
        return (self.home / "model" / "catboost_model.tar.gz").read_bytes()


@pytest.fixture(scope="session")
def local(tmp_path_factory) -> Iterator[Local]:
    folder = tmp_path_factory.mktemp("local")
    table = write_csv(folder / "loans.csv", small_table())
    made = Local(folder / "home", table, built_command_line())
    try:
        yield made
    finally:
        made.limit_increase("stop")


@pytest.fixture(scope="session")
def started(local) -> Local:
    """The environment with its local AWS running."""
    local.limit_increase("start")
    state = json.loads((local.home / "state.json").read_text(encoding="utf-8"))
    local.endpoint = f"http://127.0.0.1:{state['localstack']['port']}"
    return local


@pytest.fixture
def on_aws(started, tmp_path) -> Iterator[Callable]:
    """Calls train_sagemaker.py for an AWS: the local one, with the stand-in for SageMaker."""
    bucket = "aws-models"
    started.client("s3").create_bucket(Bucket=bucket)
    with SageMaker(started, tmp_path) as server:
        variables = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": started.endpoint,
            "AWS_ENDPOINT_URL_SAGEMAKER": server.endpoint,
        }

        def run(*arguments: str) -> subprocess.CompletedProcess:
            options = [f"--bucket={bucket}", "--poll=0.2", *arguments]
            return started.train(*options, **variables)

        yield run
