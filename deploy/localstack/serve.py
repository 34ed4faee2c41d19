#!/usr/bin/env python3
"""Runs LocalStack as a process of this machine: `serve.py run --port 4566 --home DIR`.

Stays in the foreground until SIGTERM or SIGINT. Everything that LocalStack writes is under --home, and it listens on
one loopback port; so any number of them can run beside each other. Runs from the environment `localstack` that
install.py makes.
"""

import argparse
import functools
import os
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

PLUGIN = Path(__file__).resolve().parent / "plugin"
KEPT_LOG_SECONDS = 14 * 24 * 3600


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    run = parser.add_subparsers(dest="command", required=True).add_parser(
        "run", help="run LocalStack until stopped"
    )
    run.add_argument(
        "--port", type=int, required=True, help="the port on 127.0.0.1 that LocalStack listens on"
    )
    run.add_argument(
        "--home", type=Path, required=True, help="the directory that LocalStack keeps its files in"
    )
    run.add_argument(
        "--logs",
        type=Path,
        help="where the functions' logs go (default: logs/functions under --home)",
    )
    arguments = parser.parse_args()
    home = arguments.home.absolute()
    if not 1 <= arguments.port <= 65535:
        parser.error(f"no port: {arguments.port}")
    if not is_free(arguments.port):
        print(f"port {arguments.port} on 127.0.0.1 is taken by another program", file=sys.stderr)
        return 1
    logs = arguments.logs.absolute() if arguments.logs else home / "logs" / "functions"
    temporary = prepare(home, logs)
    os.environ.update(settings(arguments.port, home, logs))
    # LocalStack finds the executor by the metadata beside it.
    sys.path.insert(0, str(PLUGIN))
    run_localstack(temporary)
    return 0


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are only fading away is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def prepare(home: Path, logs: Path) -> Path:
    """Makes the directories, and removes what a LocalStack that was killed left in them."""
    temporary = home / "tmp"
    # Nothing in it outlives the process: this LocalStack keeps its state in memory.
    shutil.rmtree(temporary, ignore_errors=True)
    for directory in (temporary, logs):
        directory.mkdir(parents=True, exist_ok=True)
    oldest = time.time() - KEPT_LOG_SECONDS
    for log in logs.glob("*.log"):
        if log.stat().st_mtime < oldest:
            log.unlink(missing_ok=True)
    return temporary


def settings(port: int, home: Path, logs: Path) -> dict[str, str]:
    programs = str(Path(sys.executable).parent)
    return {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "LOCALSTACK_HOST": f"127.0.0.1:{port}",
        "FILESYSTEM_ROOT": str(home / "filesystem"),
        # Directories and addresses as on a host, also where this machine is itself a container.
        "OVERRIDE_IN_DOCKER": "0",
        # No name server of its own, and nothing fetched or reported over the network.
        "DNS_ADDRESS": "0",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1",
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        "LIMIT_INCREASE_FUNCTION_LOGS": str(logs),
        # A new environment costs a process start and new connections, so keep those that there are.
        "LAMBDA_KEEPALIVE_MS": str(60 * 60 * 1000),
        # A Distributed Map runs as wide as it is told to; the account's quotas are not what is tested here.
        "LAMBDA_LIMITS_CONCURRENT_EXECUTIONS": "10000",
        "LAMBDA_LIMITS_CODE_SIZE_ZIPPED": str(250 * 1024 * 1024),
        # CreateFunction comes back when the function can be called.
        "LAMBDA_SYNCHRONOUS_CREATE": "1",
        # `aws` and `awslocal` for the scripts that LocalStack may run, whoever started this.
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def run_localstack(temporary: Path) -> None:
    tempfile.tempdir = str(temporary)
    # Imported here, because LocalStack reads its settings from the environment while it is imported.
    from localstack.runtime import main as runtime

    listen_on_loopback_only()
    keep_objects_in(temporary / "s3")
    try:
        runtime.main()
    except SystemExit as ended:
        shutil.rmtree(temporary, ignore_errors=True)
        sys.stdout.flush()
        sys.stderr.flush()
        # A service that is used for the first time while LocalStack stops (Lambda writes a last log) is started and not
        # stopped any more; its threads would keep the process for good.
        os._exit(ended.code if isinstance(ended.code, int) else 1)


def listen_on_loopback_only() -> None:
    """LocalStack 4.9.2 takes the port of GATEWAY_LISTEN but not the address, and would listen on every interface."""
    from twisted.internet import endpoints

    endpoints.TCP4ServerEndpoint = functools.partial(
        endpoints.TCP4ServerEndpoint, interface="127.0.0.1"
    )


def keep_objects_in(directory: Path) -> None:
    """S3 would keep its objects in one fixed directory under /tmp, which all LocalStacks of a machine would share."""
    from localstack.services.s3.storage.ephemeral import EphemeralS3ObjectStore

    original = EphemeralS3ObjectStore.__init__

    def in_own_directory(store: EphemeralS3ObjectStore, root_directory: str | None = None) -> None:
        del root_directory
        original(store, str(directory))

    EphemeralS3ObjectStore.__init__ = in_own_directory


if __name__ == "__main__":
    sys.exit(main())
