"""One process of a function: the `bootstrap` of its package, and what it says over the Runtime API."""

import contextlib
import fcntl
import json
import os
import signal
import struct
import subprocess
import termios
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from limit_increase_executor.logs import EnvironmentLog
from limit_increase_executor.runtime_api import PAYLOAD_LIMIT, Invocation, RuntimeApiServer
from limit_increase_executor.watchdog import WATCHDOG, kill_group

# How long output that the function wrote before it answered may take to arrive here.
DRAIN_SECONDS = 0.5


@dataclass
class Outcome:
    payload: bytes
    is_error: bool
    # Whether the process ran out of time, and has to be ended.
    timed_out: bool = False


def failure(kind: str, request_id: str, message: str) -> Outcome:
    """An error of the platform's, in the words of AWS."""
    document = {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {message}"}
    return Outcome(json.dumps(document).encode(), is_error=True)


class FunctionProcess:
    """Starts on construction. Implements `runtime_api.Runtime`."""

    def __init__(self, code: Path, environment: dict[str, str], log: EnvironmentLog) -> None:
        self._changed = threading.Condition()
        self._log = log
        self._pending: Invocation | None = None
        self._current: Invocation | None = None
        self._outcome: Outcome | None = None
        self._init_error: bytes | None = None
        self._exit_status: int | None = None
        self._memory_used: int | None = None
        self._started = time.monotonic()
        self.init_duration: float | None = None
        self.invocations = 0
        self._server = RuntimeApiServer(self)
        try:
            self._process = subprocess.Popen(
                [str(code / "bootstrap")],
                cwd=code,
                env={**environment, "AWS_LAMBDA_RUNTIME_API": self._server.address},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # Its own process group, so that what it starts ends with it.
                start_new_session=True,
            )
        except OSError:
            self._close_server()
            raise
        WATCHDOG.watch(self._process.pid)
        self._reader = threading.Thread(target=self._read_output, name="lambda-output", daemon=True)
        self._reader.start()
        threading.Thread(target=self._await_exit, name="lambda-exit", daemon=True).start()

    # What the platform does

    def await_init(self, timeout: float, request_id: str) -> Outcome | None:
        """Waits until the function asks for its first event; an outcome only if it never will."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_ready() or self._is_over(), timeout)
            if self._init_error is not None:
                return Outcome(self._init_error, is_error=True)
            if self._exit_status is not None:
                return self._exit_outcome(request_id)
            if self._is_ready():
                return None
        return timed_out(request_id, timeout)

    def run(self, invocation: Invocation, timeout: float) -> Outcome:
        """Hands the event over and waits for what becomes of it. The process is of no more use after a time-out."""
        with self._changed:
            self.invocations += 1
            self._outcome = None
            self._pending = invocation
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._outcome is not None or self._exit_status is not None, timeout
            )
            outcome, self._current, self._pending = self._outcome, None, None
            exited = self._exit_status is not None
        self._note_memory_used()
        if outcome is not None:
            self._drain()
            return outcome
        if exited:
            self._reader.join(DRAIN_SECONDS)
            return self._exit_outcome(invocation.request_id)
        return timed_out(invocation.request_id, timeout)

    def stop(self) -> None:
        if self._exit_status is None:
            kill_group(self._process.pid)
        with self._changed:
            self._changed.wait_for(lambda: self._exit_status is not None, 5)
        self._reader.join(DRAIN_SECONDS)

    @property
    def usable(self) -> bool:
        return not self._is_over()

    @property
    def memory_used(self) -> int | None:
        """The most memory it had so far, in MB, where the system tells."""
        return self._memory_used

    # What the function does, over the Runtime API

    def next_invocation(self) -> Invocation | None:
        with self._changed:
            if self.init_duration is None:
                self.init_duration = time.monotonic() - self._started
                self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._pending is not None or self._exit_status is not None
            )
            if self._exit_status is not None:
                return None
            self._current, self._pending = self._pending, None
            return self._current

    def responded(self, request_id: str, payload: bytes) -> bool:
        return self._settle(request_id, Outcome(payload, is_error=False))

    def failed(self, request_id: str, payload: bytes) -> bool:
        return self._settle(request_id, Outcome(payload, is_error=True))

    def too_large(self, request_id: str, size: int) -> bool:
        message = (
            f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes)."
        )
        document = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}
        return self._settle(request_id, Outcome(json.dumps(document).encode(), is_error=True))

    def init_failed(self, payload: bytes) -> None:
        with self._changed:
            if self.init_duration is None:
                self._init_error = payload
                self._changed.notify_all()

    # Inside

    def _settle(self, request_id: str, outcome: Outcome) -> bool:
        with self._changed:
            if self._current is None or self._current.request_id != request_id:
                return False
            self._current = None
            self._outcome = outcome
            self._changed.notify_all()
            return True

    def _is_ready(self) -> bool:
        return self.init_duration is not None

    def _is_over(self) -> bool:
        return self._exit_status is not None or self._init_error is not None

    def _exit_outcome(self, request_id: str) -> Outcome:
        status = self._exit_status or 0
        if status < 0:
            reason = f"Runtime exited with error: signal: {(signal.strsignal(-status) or str(-status)).lower()}"
        elif status > 0:
            reason = f"Runtime exited with error: exit status {status}"
        else:
            reason = "Runtime exited without providing a reason"
        return failure("Runtime.ExitError", request_id, reason)

    def _read_output(self) -> None:
        output = self._process.stdout.fileno()
        with contextlib.suppress(OSError):
            while data := os.read(output, 1 << 16):
                self._log.write(data)

    def _drain(self) -> None:
        """Waits until what the function wrote before its answer has been read from the pipe."""
        deadline = time.monotonic() + DRAIN_SECONDS
        with contextlib.suppress(OSError, ValueError):
            while time.monotonic() < deadline:
                waiting = fcntl.ioctl(
                    self._process.stdout.fileno(), termios.FIONREAD, struct.pack("i", 0)
                )
                if struct.unpack("i", waiting)[0] == 0:
                    return
                time.sleep(0.001)

    def _await_exit(self) -> None:
        status = self._process.wait()
        # What it started has no business living on.
        kill_group(self._process.pid)
        WATCHDOG.forget(self._process.pid)
        with self._changed:
            self._exit_status = status
            self._changed.notify_all()
        self._close_server()

    def _close_server(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _note_memory_used(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self._memory_used = -(-int(line.split()[1]) // 1024)


def timed_out(request_id: str, seconds: float) -> Outcome:
    outcome = failure("Sandbox.Timedout", request_id, f"Task timed out after {seconds:.2f} seconds")
    outcome.timed_out = True
    return outcome
