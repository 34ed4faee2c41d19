"""The PostgreSQL that postgres.py starts and stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

import postgres
import unprivileged
from conftest import SCRIPTS, alive, free_port

ROOT = os.geteuid() == 0


class Server:
    """A PostgreSQL that postgres.py starts, with its data in a directory of the test."""

    def __init__(self, directory: Path) -> None:
        self.data, self.log, self.port = (
            directory / "data",
            directory / "logs" / "postgres.log",
            free_port(),
        )

    def call(self, command: str, *more: str, status: int = 0) -> subprocess.CompletedProcess:
        words = [
            sys.executable,
            str(SCRIPTS / "postgres.py"),
            command,
            "--data",
            str(self.data),
            *more,
        ]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, done.stderr
        return done

    def start(self) -> dict:
        return json.loads(
            self.call("start", "--port", str(self.port), "--log", str(self.log)).stdout
        )

    def sql(self, statement: str) -> str:
        package, folder = postgres.installation()
        psql = package / folder / "bin" / "psql"
        url = f"postgresql://limit_increase@127.0.0.1:{self.port}/limit_increase"
        command = [str(psql), "--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement, url]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()


@pytest.fixture
def server():
    with tempfile.TemporaryDirectory() as directory:
        # pytest's own directories are closed to the user that the server runs as.
        Path(directory).chmod(0o755)
        server = Server(Path(directory))
        yield server
        server.call("remove")


def test_starts_once_and_stops(server):
    started = server.start()
    assert started["url"] == f"postgresql://limit_increase@127.0.0.1:{server.port}/limit_increase"
    assert server.start() == started, "a second start finds it running"
    assert json.loads(server.call("status").stdout)["pid"] == started["pid"]
    assert server.sql("SELECT current_user") == "limit_increase"
    assert server.sql("SHOW server_encoding") == "UTF8"
    assert (
        server.sql("SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C"
    )
    assert server.sql("SHOW server_version").startswith("18.")
    listening = [
        c.laddr
        for c in psutil.Process(started["pid"]).net_connections()
        if c.status == psutil.CONN_LISTEN
    ]
    assert [tuple(address) for address in listening] == [("127.0.0.1", server.port)]
    if ROOT:
        assert psutil.Process(started["pid"]).uids().effective != 0
    server.call("stop")
    assert not alive(started["pid"])
    server.call("stop")
    assert json.loads(server.call("status", status=3).stdout)["running"] is False


def test_data_survives_stop_and_kill(server):
    server.start()
    server.sql("CREATE TABLE kept AS SELECT 42 AS answer")
    server.call("stop")
    pid = server.start()["pid"]
    os.kill(pid, signal.SIGKILL)
    assert server.start()["pid"] != pid
    assert server.sql("SELECT answer FROM kept") == "42"


def test_a_pid_file_that_names_another_process_is_ignored(server):
    pid = server.start()["pid"]
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], 5)
    # As after a restart of the machine: the pid is another process's, here this test's own.
    pid_file = unprivileged.locate(server.data) / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert json.loads(server.call("status", status=3).stdout)["running"] is False
    assert server.start()["pid"] != os.getpid()
    assert server.sql("SELECT 1") == "1"


def test_a_port_in_use_is_reported(server):
    with socket.socket() as other:
        other.bind(("127.0.0.1", server.port))
        other.listen()
        done = server.call("start", "--port", str(server.port), "--log", str(server.log), status=1)
    assert f"port {server.port} on 127.0.0.1 is taken" in done.stderr


@pytest.mark.skipif(not ROOT, reason="only root has to step aside for an unprivileged user")
def test_data_goes_where_the_servers_user_can_reach_it(tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    server = Server(hidden / "project")
    try:
        server.start()
        server.sql("CREATE TABLE kept ()")
        place = unprivileged.locate(server.data)
        assert place != server.data
        assert place.is_relative_to(unprivileged.REACHABLE)
        server.call("stop")
        server.start()
        assert server.sql("SELECT count(*) FROM kept") == "0"
        # Somebody deletes the local state. The old data must not become the next project's data.
        (server.data / unprivileged.POINTER).unlink()
        server.start()
        assert server.sql("SELECT to_regclass('kept') IS NULL") == "t"
    finally:
        server.call("remove")
    assert not place.exists()
