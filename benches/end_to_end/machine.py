"""On what is measured: the command line's services, the built functions, and the CPU and memory that they took."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; the second is a name that may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process and of whatever it started, ended or not."""
    try:
        # Own time in user and kernel, then that of children that have ended.
        total = sum(int(field) for field in stat_fields(pid)[11:15]) / TICKS
        return total + sum(cpu_seconds(child) for child in children(pid))
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def functions_directory() -> Path:
    architecture = "arm64" if os.uname().machine in ("aarch64", "arm64") else "x86_64"
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "lambda" / architecture


@dataclass
class Environment:
    """A local environment of the bench's own: PostgreSQL, LocalStack, the model, the stack."""

    home: Path
    program: list[str]
    venvs: Path

    def cli(self, *arguments: str) -> dict:
        command = [*self.program, "--json", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self._variables(), stdout=subprocess.PIPE, text=True
        )
        if done.returncode != 0:
            raise SystemExit(
                f"limit-increase {' '.join(arguments)} ended with status {done.returncode}: {done.stdout}"
            )
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def stop(self) -> None:
        subprocess.run(
            [*self.program, "stop"], cwd=ROOT, env=self._variables(), stdout=subprocess.DEVNULL
        )

    def _variables(self) -> dict[str, str]:
        own = {"LIMIT_INCREASE_HOME": str(self.home), "POSTGRES_PORT": "0", "LOCALSTACK_PORT": "0"}
        return {
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            **own,
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

    def aws(self, *arguments: str, endpoint: str | None = None) -> bytes:
        command = [
            str(self.venvs / "localstack/bin/aws"),
            "--endpoint-url",
            endpoint or self.endpoint,
            *arguments,
        ]
        return subprocess.run(
            command, env=aws_variables(), stdout=subprocess.PIPE, check=True
        ).stdout


def aws_variables() -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
