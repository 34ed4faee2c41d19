"""Measures how long a function needs from its start until it asks for its first event.

    .local/venvs/build/bin/python benches/cold_start.py target/lambda/arm64/*/bootstrap

The script is the Lambda runtime API as far as that moment: it listens, starts the program, and
stops the clock at the request for `/next`. It prints the best and the median of the starts, and
what the program's archive weighs.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
import zlib
from pathlib import Path

# What a function finds in its environment on AWS, as far as it needs it to start.
ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/cold-start",
    "AWS_LAMBDA_LOG_STREAM_NAME": "cold-start",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "DATABASE_URL": "postgresql://limit_increase@127.0.0.1:9/limit_increase",
    "DATABASE_TLS": "disable",
}
TIMEOUT_SECONDS = 10
NEXT = b"GET /2018-06-01/runtime/invocation/next"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", metavar="BOOTSTRAP", type=Path, nargs="+")
    parser.add_argument("--starts", type=int, default=40, help="starts of each program")
    arguments = parser.parse_args()

    print(f"{'program':<28}{'best':>9}{'median':>9}{'archive':>10}")
    for program in arguments.programs:
        times = [start(program) for _ in range(arguments.starts)]
        name = program.parent.name if program.name == "bootstrap" else program.name
        best, median = min(times) * 1e3, statistics.median(times) * 1e3
        print(f"{name:<28}{best:>6.1f} ms{median:>6.1f} ms{archive_mb(program):>7.2f} MB")
    return 0


def start(program: Path) -> float:
    """Returns the seconds between the start of the program and its request for an event."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT_SECONDS)
        host, port = server.getsockname()
        name = program.parent.name
        environment = os.environ | ENVIRONMENT
        environment |= {
            "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}",
            "AWS_LAMBDA_FUNCTION_NAME": name,
        }

        began = time.perf_counter()
        function = subprocess.Popen([program], env=environment, stdout=subprocess.DEVNULL)
        try:
            connection, _ = server.accept()
            request = connection.recv(4096)
            elapsed = time.perf_counter() - began
        except TimeoutError:
            sys.exit(f"{program}: it did not ask for an event within {TIMEOUT_SECONDS} s")
        finally:
            # Killed while it waits for an answer, so that it does not miss the answer.
            function.kill()
            function.wait()
        connection.close()

    if not request.startswith(NEXT):
        sys.exit(f"{program}: its first request is {request[:80]!r}, not the one for an event")
    return elapsed


def archive_mb(program: Path) -> float:
    """Returns what the program weighs, deflated as in its archive."""
    return len(zlib.compress(program.read_bytes(), 6)) / 1e6


if __name__ == "__main__":
    sys.exit(main())
