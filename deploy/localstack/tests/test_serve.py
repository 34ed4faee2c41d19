"""LocalStack as a process: its ports, its files, and what remains when it ends."""

import signal
import subprocess
import sys

import psutil
import pytest

from conftest import SCRIPTS, LocalStack, alive, eventually


def test_listens_on_one_loopback_port(localstack, function):
    localstack.invoke(function)
    # Each execution environment has a port too, for its Runtime API, as long as it exists.
    listening = [
        connection.laddr
        for connection in psutil.Process(localstack.process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert localstack.port in {address.port for address in listening}
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_objects_are_kept_under_its_home(localstack):
    s3 = localstack.client("s3")
    s3.create_bucket(Bucket="kept-at-home")
    s3.put_object(Bucket="kept-at-home", Key="large", Body=b"x" * 2_000_000)
    assert s3.get_object(Bucket="kept-at-home", Key="large")["ContentLength"] == 2_000_000
    assert (localstack.home / "tmp" / "s3" / "kept-at-home").is_dir()


def test_a_port_in_use_is_reported(localstack, tmp_path):
    command = [
        sys.executable,
        str(SCRIPTS / "serve.py"),
        "run",
        "--port",
        str(localstack.port),
        "--home",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr == f"port {localstack.port} on 127.0.0.1 is taken by another program\n"


@pytest.mark.parametrize(
    "module",
    [
        "localstack.services.stepfunctions.asl.utils.json_path",
        "localstack.services.stepfunctions.asl.component.common.path.result_path",
    ],
)
def test_the_state_machine_parses_a_path_once(module):
    program = f"""
import serve
serve.remember_parsed_paths()
from {module} import parse
assert parse("$.run.policy") is parse("$.run.policy")
"""
    subprocess.run([sys.executable, "-c", program], cwd=SCRIPTS, check=True)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_second_one_runs_beside_it_and_leaves_no_orphans(localstack, function, tmp_path, how):
    other = LocalStack(tmp_path / "home")
    try:
        other.create_function("orphan")
        pids = other.invoke("orphan", do="child").payload
        assert alive(pids["pid"]) and alive(pids["child"])
        with pytest.raises(other.client("lambda").exceptions.ResourceNotFoundException):
            other.invoke(function)
    finally:
        status = other.stop(how)
    assert status == (0 if how == signal.SIGTERM else -signal.SIGKILL)
    eventually(lambda: not alive(pids["pid"]) and not alive(pids["child"]))
    assert not localstack.invoke(function).failed
