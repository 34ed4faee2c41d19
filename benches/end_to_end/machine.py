"""The services that the command line starts, the built functions, and what processes cost."""

import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on. The second is a name with any characters."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """The CPU seconds of a process and of all processes that it started, running or ended."""
    try:
        # Its own time in user mode and in the kernel, then that of its children that have ended.
        total = sum(int(field) for field in stat_fields(pid)[11:15]) / TICKS
        return total + sum(cpu_seconds(child) for child in children(pid))
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def peak_mb(pid: int) -> float:
    """The peak of a process's memory in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def functions_directory() -> Path:
    """Where cargo-lambda puts the built functions."""
    architecture = "arm64" if os.uname().machine in ("aarch64", "arm64") else "x86_64"
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "lambda" / architecture


@dataclass
class Environment:
    """A local environment for this measurement: PostgreSQL, LocalStack, the model, the stack.

    `program` is the command that runs limit-increase.
    """

    home: Path
    program: list[str]
    venvs: Path

    def cli(self, *arguments: str) -> dict:
        """Runs a command of limit-increase. Returns its JSON."""
        command = [*self.program, "--json", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self._variables(), stdout=subprocess.PIPE, text=True
        )
        if done.returncode != 0:
            raise SystemExit(
                f"limit-increase {' '.join(arguments)} ended with status {done.returncode}:"
                f" {done.stdout}"
            )
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def stop(self) -> None:
        subprocess.run(
            [*self.program, "stop"], cwd=ROOT, env=self._variables(), stdout=subprocess.DEVNULL
        )

    def _variables(self) -> dict[str, str]:
        variables = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        return {
            **variables,
            "LIMIT_INCREASE_HOME": str(self.home),
            # The functions are measured as they run on AWS: optimised.
            "LIMIT_INCREASE_PROFILE": "release",
            # Free ports, so that a `make start` may run beside the measurement.
            "POSTGRES_PORT": "0",
            "LOCALSTACK_PORT": "0",
        }

    @property
    def _state(self) -> dict:
        return json.loads((self.home / "state.json").read_text())

    @property
    def database_url(self) -> str:
        return self._state["postgres"]["url"]

    @property
    def postgres_pid(self) -> int:
        return self._state["postgres"]["process"]["pid"]

    @property
    def localstack_pid(self) -> int:
        return self._state["localstack"]["process"]["pid"]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._state['localstack']['port']}"

    @property
    def artifact(self) -> Path:
        return self.home / "model" / "catboost_model.tar.gz"

    def source_columns(self) -> list[str]:
        """The columns of the customer's table that the model reads."""
        with tarfile.open(self.artifact) as archive:
            manifest = json.loads(archive.extractfile("manifest.json").read())
        return list(dict.fromkeys(column["source_column"] for column in manifest["features"]))

    def aws(self, *arguments: str) -> None:
        """Runs the AWS command line on LocalStack."""
        program = str(self.venvs / "localstack" / "bin" / "aws")
        command = [program, f"--endpoint-url={self.endpoint}", *arguments]
        subprocess.run(command, env=aws_variables(), stdout=subprocess.DEVNULL, check=True)


def aws_variables() -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
