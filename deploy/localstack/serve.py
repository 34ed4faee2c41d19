#!/usr/bin/env python3
"""Runs LocalStack as a process of this machine.

    serve.py run --port 4566 --home DIR

It stays in the foreground until SIGTERM or SIGINT. LocalStack writes only under --home and listens
on one loopback port, so several can run beside each other. The script runs in the environment
`localstack` that install.py makes.
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
# The calls that the functions may make. LocalStack refuses their others.
CALLS = Path(__file__).resolve().parents[2] / "cloudformation" / "calls.yml"
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
        "--home", type=Path, required=True, help="the directory for LocalStack's files"
    )
    run.add_argument(
        "--logs",
        type=Path,
        help="the directory for the functions' logs (default: logs/functions under --home)",
    )
    arguments = parser.parse_args()

    home = arguments.home.absolute()
    if not 1 <= arguments.port <= 65535:
        parser.error(f"--port {arguments.port} is not between 1 and 65535")
    if not is_free(arguments.port):
        print(f"port {arguments.port} on 127.0.0.1 is taken by another program", file=sys.stderr)
        return 1

    logs = arguments.logs.absolute() if arguments.logs else home / "logs" / "functions"
    temporary = prepare(home, logs)
    os.environ.update(settings(arguments.port, home, logs))
    # LocalStack finds the executor by the package metadata in this directory.
    sys.path.insert(0, str(PLUGIN))
    run_localstack(temporary)
    return 0


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # A port in TIME_WAIT, after its last connections, is free for a server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def prepare(home: Path, logs: Path) -> Path:
    """Makes the directories, and removes old logs and the files of a LocalStack that was killed."""
    temporary = home / "tmp"
    # LocalStack keeps its state in memory, so these files are useless without their process.
    shutil.rmtree(temporary, ignore_errors=True)
    for directory in (temporary, logs):
        directory.mkdir(parents=True, exist_ok=True)

    oldest = time.time() - KEPT_LOG_SECONDS
    for log in logs.glob("*.log"):
        if log.stat().st_mtime < oldest:
            log.unlink(missing_ok=True)
    return temporary


def settings(port: int, home: Path, logs: Path) -> dict[str, str]:
    """The environment variables that LocalStack reads its settings from."""
    programs = str(Path(sys.executable).parent)
    return {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "LOCALSTACK_HOST": f"127.0.0.1:{port}",
        "FILESYSTEM_ROOT": str(home / "filesystem"),
        # Directories and addresses as on a host, even if this machine is itself a container.
        "OVERRIDE_IN_DOCKER": "0",
        # No name server, no download and no report over the network.
        "DNS_ADDRESS": "0",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DISABLE_EVENTS": "1",
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        "LIMIT_INCREASE_FUNCTION_LOGS": str(logs),
        # A new execution environment costs a process start and new connections, so they are kept.
        "LAMBDA_KEEPALIVE_MS": str(60 * 60 * 1000),
        # No account quotas: a Distributed Map runs as many executions as it is configured for.
        "LAMBDA_LIMITS_CONCURRENT_EXECUTIONS": "10000",
        "LAMBDA_LIMITS_CODE_SIZE_ZIPPED": str(250 * 1024 * 1024),
        # CreateFunction returns only when the function can be called.
        "LAMBDA_SYNCHRONOUS_CREATE": "1",
        # It has no versions of state machines, and passes over the one in the template.
        "CFN_IGNORE_UNSUPPORTED_RESOURCE_TYPES": "1",
        # So that scripts of LocalStack find `aws` and `awslocal`.
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def run_localstack(temporary: Path) -> None:
    tempfile.tempdir = str(temporary)
    # Imported late, because LocalStack reads its settings from the environment at its import.
    from localstack.runtime import main as runtime

    listen_on_loopback_only()
    remember_parsed_paths()
    keep_objects_in(temporary / "s3")
    refuse_unlisted_calls()
    try:
        runtime.main()
    except SystemExit as ended:
        shutil.rmtree(temporary, ignore_errors=True)
        sys.stdout.flush()
        sys.stderr.flush()
        # LocalStack may start a service while it stops, for example when Lambda writes a last log.
        # Nothing stops that service, and its threads would keep the process alive.
        os._exit(ended.code if isinstance(ended.code, int) else 1)


def remember_parsed_paths() -> None:
    """Makes the state machine parse each JSONPath once.

    jsonpath-ng builds the tables of its grammar anew for each path that it parses, and LocalStack
    4.9.2 parses a path each time a state reads it. That took half of LocalStack's processor time in
    a run. A parsed path does not change when it is used.
    """
    import jsonpath_ng
    import jsonpath_ng.ext

    jsonpath_ng.parse = functools.cache(jsonpath_ng.parse)
    jsonpath_ng.ext.parse = functools.cache(jsonpath_ng.ext.parse)


def listen_on_loopback_only() -> None:
    """Makes LocalStack listen on 127.0.0.1.

    LocalStack 4.9.2 ignores the address in GATEWAY_LISTEN and would listen on every interface.
    """
    from twisted.internet import endpoints

    endpoints.TCP4ServerEndpoint = functools.partial(
        endpoints.TCP4ServerEndpoint, interface="127.0.0.1"
    )


def refuse_unlisted_calls() -> None:
    from limit_increase_executor import calls

    calls.enforce(CALLS)


def keep_objects_in(directory: Path) -> None:
    """Makes S3 keep its objects in this directory.

    By default, every LocalStack of a machine uses the same directory under /tmp.
    """
    from localstack.services.s3.storage.ephemeral import EphemeralS3ObjectStore

    original = EphemeralS3ObjectStore.__init__

    def in_own_directory(store: EphemeralS3ObjectStore, root_directory: str | None = None) -> None:
        del root_directory
        original(store, str(directory))

    EphemeralS3ObjectStore.__init__ = in_own_directory


if __name__ == "__main__":
    sys.exit(main())
