#!/usr/bin/env python3.11
"""Makes the project's Python environments: `install.py localstack|build|training|postgres-tls|bench`.

An environment is built beside the current one and a symbolic link is switched over when it is whole, so that an
interrupted or failing installation leaves the old one in place, and a service that runs from it goes on.
Needs nothing but Python 3.11.
"""

# An older Python has to get as far as being told that it is one.
from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PYTHON = (3, 11)
HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
UV_REQUIREMENTS = HERE / "uv-requirements.txt"
REQUIREMENTS = {
    "localstack": [HERE / "requirements.txt", HERE / "postgres-requirements.txt"],
    "build": [HERE / "build-requirements.txt"],
    "postgres-tls": [HERE / "postgres-tls-requirements.txt"],
    "training": [PROJECT / "training" / "requirements.txt"],
    "bench": [PROJECT / "benches" / "requirements.txt"],
}
STAMP = ".complete"
TAIL_LINES = 30


class InstallError(Exception):
    """The installer failed; the message is what it said last."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "environment", choices=sorted(REQUIREMENTS), help="which environment to create or refresh"
    )
    name = parser.parse_args().environment
    if sys.version_info[:2] != PYTHON:
        return run_with_python_311()
    parent = venvs_directory()
    link = parent / name
    try:
        digest = wanted_digest(name, parent)
        if is_complete(link, digest):
            return 0
        parent.mkdir(parents=True, exist_ok=True)
        with locked(parent / f".{name}.lock", name):
            # Another call may have done it while this one waited for the lock.
            if not is_complete(link, digest):
                build(name, link, digest)
    except (InstallError, OSError) as error:
        say(name, f"cannot make the environment {link}: {error}")
        return 1
    return 0


def run_with_python_311() -> int:
    """Hands over to a Python 3.11 on the PATH: LocalStack 4.9.2 runs on no newer one."""
    other = shutil.which("python3.11")
    if other is not None and os.environ.get("LIMIT_INCREASE_INSTALLER") != "handed-over":
        # The mark ends a chain of hand-overs, in case what is called python3.11 is none.
        os.environ["LIMIT_INCREASE_INSTALLER"] = "handed-over"
        os.execv(other, [other, *sys.argv])
    running = ".".join(map(str, sys.version_info[:3]))
    print(
        f"install.py needs Python 3.11, and this is Python {running} ({sys.executable}).\n"
        "Install Python 3.11 so that `python3.11` is on the PATH (for instance `uv python install 3.11`, "
        "`apt install python3.11 python3.11-venv` or `brew install python@3.11`), then run it again.",
        file=sys.stderr,
    )
    return 1


def venvs_directory() -> Path:
    override = os.environ.get("LIMIT_INCREASE_VENVS")
    return Path(override).absolute() if override else PROJECT / ".local" / "venvs"


def wanted_digest(name: str, parent: Path) -> str:
    """Changes when the environment has to be made anew: other requirements, another Python, another place."""
    digest = hashlib.sha256()
    for part in (name, str(parent), sys.version):
        digest.update(part.encode() + b"\0")
    for requirements in REQUIREMENTS[name]:
        if not requirements.is_file():
            raise InstallError(f"{requirements} is missing")
        digest.update(requirements.read_bytes() + b"\0")
    return digest.hexdigest()


def is_complete(link: Path, digest: str) -> bool:
    try:
        stamp = (link / STAMP).read_text()
    except OSError:
        return False
    # `bin/python` links to the Python that made the environment, which may have been removed since.
    return stamp == digest and os.access(link / "bin" / "python", os.X_OK)


@contextlib.contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(name, "waiting for another installation of the same environment")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(name: str, link: Path, digest: str) -> None:
    started = time.monotonic()
    target = link.with_name(f"{name}-{digest[:12]}")
    say(name, f"creating a Python environment at {link}")
    # What is there under the new name was left by an installation that was interrupted.
    shutil.rmtree(target, ignore_errors=True)
    # Without pip in it: the pip of this Python's `ensurepip` installs uv, in an environment that is thrown away.
    run([sys.executable, "-m", "venv", str(target)], "python -m venv")
    install(name, target)
    (target / STAMP).write_text(digest)
    switch(link, target)
    say(name, f"ready after {time.monotonic() - started:.0f} s")


def install(name: str, target: Path) -> None:
    python = str(target / "bin" / "python")
    options = ["--require-hashes"]
    for requirements in REQUIREMENTS[name]:
        options += ["--requirement", str(requirements)]
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    try:
        say(name, "installing uv")
        run(
            [*pip, "install", "--quiet", "--require-hashes", "--requirement", str(UV_REQUIREMENTS)],
            "pip",
        )
        say(name, "installing the packages with uv")
        uv = [str(target / "bin" / "uv"), "pip", "install", "--quiet", "--python", python]
        run([*uv, *options], "uv", environment=uv_environment(pip))
    except InstallError as error:
        # uv verifies TLS and finds the registry in its own way; where pip is set up and uv is not, pip does it.
        say(name, f"{str(error).splitlines()[-1]}; installing with pip instead, which takes longer")
        run([*pip, "install", "--quiet", *options], "pip")


def uv_environment(pip: list[str]) -> dict[str, str]:
    """uv does not read pip's configuration; where only pip is told of a mirror or a certificate, uv is told too."""
    environment = dict(os.environ)
    # The system's certificates as well as uv's own: a company's proxy signs with its own.
    environment.setdefault("UV_NATIVE_TLS", "1")
    environment.setdefault("UV_HTTP_TIMEOUT", "120")
    for setting, variable in (("index-url", "UV_DEFAULT_INDEX"), ("cert", "SSL_CERT_FILE")):
        if variable in environment:
            continue
        answer = subprocess.run(
            [*pip, "config", "get", f"global.{setting}"], capture_output=True, text=True
        )
        if answer.returncode == 0 and answer.stdout.strip():
            environment[variable] = answer.stdout.strip()
    return environment


def run(command: list[str], what: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
    )
    if done.returncode != 0:
        tail = done.stdout.decode(errors="replace").strip().splitlines()[-TAIL_LINES:]
        raise InstallError("\n".join([f"{what} ended with status {done.returncode}", *tail]))


def switch(link: Path, target: Path) -> None:
    """Makes `link` name the new environment in one step, then removes the old ones."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.name)
    if link.is_dir() and not link.is_symlink():
        # A directory cannot be replaced by a link in one step; move it out of the way first.
        link.rename(link.with_name(f"{link.name}-replaced"))
    fresh.replace(link)
    for other in link.parent.glob(f"{link.name}-*"):
        if other != target:
            shutil.rmtree(other, ignore_errors=True)


def say(name: str, message: str) -> None:
    print(f"{name}: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
