"""A function's output: one log file per environment, and a text per invocation for CloudWatch."""

import re
import threading
import time
from pathlib import Path

# The most output of one invocation that goes to CloudWatch Logs, which takes a megabyte per call.
# If there is more, the end is kept.
KEPT_BYTES = 256 * 1024
CUT = b"[earlier output of this invocation is in the environment's log file only]\n"


class EnvironmentLog:
    """The output of one execution environment."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        # Unbuffered, because the last lines before a crash matter most.
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._current = bytearray()
        self._cut = False

    def write(self, data: bytes) -> None:
        with self._lock:
            if not self._file.closed:
                self._file.write(data)
            self._current += data
            if len(self._current) > KEPT_BYTES:
                del self._current[: len(self._current) - KEPT_BYTES]
                self._cut = True

    def line(self, text: str) -> None:
        """Writes a line of the platform, after a line break if the function's output has none."""
        with self._lock:
            unfinished = bool(self._current) and not self._current.endswith(b"\n")
        self.write((b"\n" if unfinished else b"") + text.encode() + b"\n")

    def take(self) -> str:
        """Returns the output since the last call."""
        with self._lock:
            data, cut = bytes(self._current), self._cut
            self._current.clear()
            self._cut = False
        if cut:
            data = CUT + data[data.find(b"\n") + 1 :]
        return data.decode(errors="replace")

    def everything(self) -> str:
        try:
            return self.path.read_bytes()[-KEPT_BYTES:].decode(errors="replace")
        except OSError:
            return ""

    def close(self) -> None:
        with self._lock:
            self._file.close()


def log_path(directory: Path, function_name: str, environment_id: str) -> Path:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", function_name)
    # With the start time, so that a directory listing shows a function's environments in order.
    return (
        directory
        / f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{environment_id[:8]}.log"
    )


def start_line(request_id: str, version: str) -> str:
    return f"START RequestId: {request_id} Version: {version}"


def report_line(
    request_id: str,
    duration: float,
    init_duration: float | None,
    memory_size: int,
    memory_used: int | None,
) -> str:
    milliseconds = duration * 1000
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {milliseconds:.2f} ms",
        f"Billed Duration: {int(milliseconds) + 1} ms",
        f"Memory Size: {memory_size} MB",
    ]
    if memory_used is not None:
        fields.append(f"Max Memory Used: {memory_used} MB")
    if init_duration is not None:
        fields.append(f"Init Duration: {init_duration * 1000:.2f} ms")
    return "\t".join(fields)
