"""An HTTP server of the Lambda Runtime API, for one function's process, on its own loopback port.

A function asks for its next event, and the server answers when there is one. The function posts its
result and asks again over the same connection. A `Runtime` decides what happens with the requests.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

VERSION = "/2018-06-01/runtime"
# The limit of AWS: 6 MiB, and 100 bytes for the envelope.
PAYLOAD_LIMIT = 6 * 1024 * 1024 + 100


@dataclass
class Invocation:
    """An event for the function, and what AWS tells with it."""

    request_id: str
    payload: bytes
    deadline_ms: int
    arn: str
    trace_id: str


class Runtime(Protocol):
    """What the server calls for each request of the function."""

    def next_invocation(self) -> Invocation | None:
        """Waits for an event. None means that this process will get no more events."""

    def responded(self, request_id: str, payload: bytes) -> bool:
        """Takes the function's answer. Returns whether the request id was the current one."""

    def failed(self, request_id: str, payload: bytes) -> bool:
        """Takes the function's error. Returns whether the request id was the current one."""

    def too_large(self, request_id: str, size: int) -> bool:
        """Takes note of an answer over the limit, whose content was dropped."""

    def init_failed(self, payload: bytes) -> None:
        """Takes an error that happened before the first event."""


class RuntimeApiServer(ThreadingHTTPServer):
    """Starts to serve when it is constructed, in a thread of its own."""

    daemon_threads = True
    # Only one process connects, so there is never a queue.
    request_queue_size = 8

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.runtime = runtime
        threading.Thread(target=self.serve_forever, name="lambda-runtime-api", daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def server_bind(self) -> None:
        # HTTPServer would look up this machine's name, and may wait for a name server.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address) -> None:
        """Ignores the error: a process that is killed closes its connection at any point."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Buffered, so that the head and the body of an answer leave in one packet.
    wbufsize = -1
    server: RuntimeApiServer

    def do_GET(self) -> None:
        if self.path != f"{VERSION}/invocation/next":
            return self._answer(404, request_error("InvalidRequest", f"no such path: {self.path}"))

        invocation = self.server.runtime.next_invocation()
        if invocation is None:
            self.close_connection = True
            return self._answer(410, request_error("Gone", "the environment is shutting down"))

        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        return self._answer(200, invocation.payload, headers)

    def do_POST(self) -> None:
        runtime = self.server.runtime
        body, size = self._read_body()
        if self.path == f"{VERSION}/init/error":
            runtime.init_failed(body or b"{}")
            return self._answer(202, b'{"status":"OK"}')

        request_id, _, what = self.path.removeprefix(f"{VERSION}/invocation/").partition("/")
        if not self.path.startswith(f"{VERSION}/invocation/") or what not in ("response", "error"):
            return self._answer(404, request_error("InvalidRequest", f"no such path: {self.path}"))

        if body is None:
            runtime.too_large(request_id, size)
            message = f"Exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes)."
            return self._answer(413, request_error("RequestEntityTooLarge", message))

        known = (
            runtime.responded(request_id, body)
            if what == "response"
            else runtime.failed(request_id, body)
        )
        if not known:
            return self._answer(400, request_error("InvalidRequestID", "Invalid request ID"))
        return self._answer(202, b'{"status":"OK"}')

    def _read_body(self) -> tuple[bytes | None, int]:
        """Returns the body, or None if it is over the limit, and its size."""
        kept, size = bytearray(), 0
        for chunk in self._chunks():
            size += len(chunk)
            if size <= PAYLOAD_LIMIT:
                kept += chunk
        return (bytes(kept) if size <= PAYLOAD_LIMIT else None), size

    def _chunks(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while length := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(length)
                self.rfile.readline()
            while self.rfile.readline() not in (b"\r\n", b"\n", b""):
                pass
            return

        left = int(self.headers.get("Content-Length") or 0)
        while left > 0 and (chunk := self.rfile.read(min(left, 1 << 16))):
            left -= len(chunk)
            yield chunk

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def request_error(kind: str, message: str) -> bytes:
    """The body of an answer with an error status."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()
