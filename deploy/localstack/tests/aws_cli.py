"""The AWS command line in this process. To start it once costs a second of processor time, and the
documents have dozens of its commands."""

import contextlib
import io
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import botocore.waiter
import pytest
from awscli.clidriver import create_clidriver


class AwsCli:
    """Runs commands in a directory, with these variables and these options before each."""

    def __init__(self, directory: Path, environment: dict[str, str], *options: str) -> None:
        self.directory = directory
        self.environment = environment
        self.options = options
        self.driver = create_clidriver()

    def run(self, words: list[str]) -> tuple[int, str, str]:
        """Returns status, output and errors."""
        output, errors = (io.TextIOWrapper(io.BytesIO()) for _ in range(2))
        with (
            pytest.MonkeyPatch.context() as patched,
            contextlib.chdir(self.directory),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
        ):
            for name, value in self.environment.items():
                patched.setenv(name, value)
            status = self.driver.main([*self.options, *words])
        texts = []
        for stream in (output, errors):
            stream.flush()
            texts.append(stream.buffer.getvalue().decode())
        return status, texts[0], texts[1]


@pytest.fixture
def brief_waits(monkeypatch) -> None:
    """`aws cloudformation deploy` asks every 30 seconds for a stack. Here it asks each second."""
    clock = SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, 1)))
    monkeypatch.setattr(botocore.waiter, "time", clock)


# Defines `aws` in a shell, for the commands of one script, which come one after the other.
FUNCTION = """
aws() {
    local status
    printf '%s\\0' "$@" > "$AWS_SERVED/request"
    read -r status < "$AWS_SERVED/status"
    cat "$AWS_SERVED/output"
    cat "$AWS_SERVED/errors" >&2
    return "$status"
}
"""


@contextlib.contextmanager
def served(cli: AwsCli, folder: Path):
    """Answers the function `aws` of a shell whose variable AWS_SERVED is this folder."""
    folder.mkdir()
    for name in ("request", "status"):
        os.mkfifo(folder / name)

    def serve() -> None:
        while words := (folder / "request").read_text().split("\0")[:-1]:
            status, output, errors = cli.run(words)
            (folder / "output").write_text(output)
            (folder / "errors").write_text(errors)
            (folder / "status").write_text(f"{status}\n")

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    yield
    # Nothing but an end is read as the end. Nobody listens if the script was killed in a command.
    with contextlib.suppress(OSError):
        os.close(os.open(folder / "request", os.O_WRONLY | os.O_NONBLOCK))
    server.join(10)
