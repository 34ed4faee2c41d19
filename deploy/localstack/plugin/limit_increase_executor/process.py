"""One process of a function: the `bootstrap` of its package, served over the Runtime API."""

import contextlib
import fcntl
import json
import os
import select
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

# The longest wait for output that the function wrote before its answer.
DRAIN_SECONDS = 2.0


@dataclass
class Answer:
    """What an invocation returns: the function's answer, its error, or an error of the platform."""

    payload: bytes
    is_error: bool
    # Whether the time-out passed. The process cannot be used any more.
    timed_out: bool = False


def platform_error(kind: str, request_id: str, message: str) -> Answer:
    """An error that AWS would report for the function, with AWS's wording."""
    document = {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {message}"}
    return Answer(json.dumps(document).encode(), is_error=True)


def timeout_error(request_id: str, seconds: float) -> Answer:
    message = f"Task timed out after {seconds:.2f} seconds"
    answer = platform_error("Sandbox.Timedout", request_id, message)
    answer.timed_out = True
    return answer


class FunctionProcess:
    """A running `bootstrap`. The constructor starts it.

    Implements `runtime_api.Runtime`.
    """

    def __init__(self, code: Path, environment: dict[str, str], log: EnvironmentLog) -> None:
        self._changed = threading.Condition()
        self._reading = threading.Lock()
        self._log = log
        self._pending: Invocation | None = None
        self._current: Invocation | None = None
        self._answer: Answer | None = None
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
                # A process group of its own, so that the programs it starts end with it.
                start_new_session=True,
            )
        except OSError:
            self._close_server()
            raise
        WATCHDOG.watch(self._process.pid)
        self._reader = threading.Thread(target=self._read_output, name="lambda-output", daemon=True)
        self._reader.start()
        threading.Thread(target=self._await_exit, name="lambda-exit", daemon=True).start()

    # Called by the executor

    def await_init(self, timeout: float, request_id: str) -> Answer | None:
        """Waits until the function asks for its first event. An answer means it never will."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_ready() or self._is_over(), timeout)
            if self._init_error is not None:
                return Answer(self._init_error, is_error=True)
            if self._exit_status is not None:
                return self._exit_error(request_id)
            if self._is_ready():
                return None
        return timeout_error(request_id, timeout)

    def run(self, invocation: Invocation, timeout: float) -> Answer:
        """Gives the event to the function and waits for its answer."""
        with self._changed:
            self.invocations += 1
            self._answer = None
            self._pending = invocation
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._answer is not None or self._exit_status is not None, timeout
            )
            answer, self._current, self._pending = self._answer, None, None
            exited = self._exit_status is not None

        self._note_memory_used()
        if answer is not None:
            self._drain()
            return answer
        if exited:
            self._reader.join(DRAIN_SECONDS)
            return self._exit_error(invocation.request_id)
        return timeout_error(invocation.request_id, timeout)

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
        """The peak of its memory in MB; None where the system does not tell."""
        return self._memory_used

    # Called by the Runtime API's server, for the function

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
        return self._settle(request_id, Answer(payload, is_error=False))

    def failed(self, request_id: str, payload: bytes) -> bool:
        return self._settle(request_id, Answer(payload, is_error=True))

    def too_large(self, request_id: str, size: int) -> bool:
        message = (
            f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes)."
        )
        document = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}
        return self._settle(request_id, Answer(json.dumps(document).encode(), is_error=True))

    def init_failed(self, payload: bytes) -> None:
        with self._changed:
            if self.init_duration is None:
                self._init_error = payload
                self._changed.notify_all()

    # Used in this class only

    def _settle(self, request_id: str, answer: Answer) -> bool:
        """Takes the answer, unless it is for another request than the current one."""
        with self._changed:
            if self._current is None or self._current.request_id != request_id:
                return False
            self._current = None
            self._answer = answer
            self._changed.notify_all()
            return True

    def _is_ready(self) -> bool:
        return self.init_duration is not None

    def _is_over(self) -> bool:
        return self._exit_status is not None or self._init_error is not None

    def _exit_error(self, request_id: str) -> Answer:
        status = self._exit_status or 0
        if status < 0:
            name = (signal.strsignal(-status) or str(-status)).lower()
            reason = f"Runtime exited with error: signal: {name}"
        elif status > 0:
            reason = f"Runtime exited with error: exit status {status}"
        else:
            reason = "Runtime exited without providing a reason"
        return platform_error("Runtime.ExitError", request_id, reason)

    def _read_output(self) -> None:
        output = self._process.stdout.fileno()
        readable = select.poll()
        readable.register(output, select.POLLIN)
        with contextlib.suppress(OSError):
            while True:
                readable.poll()
                # Output that has left the pipe is in the log before the lock is free again.
                with self._reading:
                    data = os.read(output, 1 << 16)
                    self._log.write(data)
                if not data:
                    return

    def _drain(self) -> None:
        """Waits until the output that the function wrote before its answer is read."""
        deadline = time.monotonic() + DRAIN_SECONDS
        with contextlib.suppress(OSError, ValueError):
            while time.monotonic() < deadline:
                with self._reading:
                    waiting = fcntl.ioctl(
                        self._process.stdout.fileno(), termios.FIONREAD, struct.pack("i", 0)
                    )
                if struct.unpack("i", waiting)[0] == 0:
                    return
                time.sleep(0.001)

    def _await_exit(self) -> None:
        status = self._process.wait()
        # Programs that it started must not outlive it.
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
