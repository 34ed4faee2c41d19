"""Ends the functions' processes when LocalStack has ended, even if it was killed.

A killed LocalStack cannot clean up. Linux can end a process with its parent (PR_SET_PDEATHSIG), but
there the parent is the thread that started it, and LocalStack's threads come and go. So a small
process reads the list of function processes from a pipe. When LocalStack's end of the pipe closes,
it kills the processes that are still on the list. This works on macOS too.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading


class Watchdog:
    """LocalStack's side of the pipe: `watch` and `forget` process groups."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None

    def watch(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._process is None:
                # In a session of its own, so that a signal to LocalStack's group does not end it.
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", __file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
                atexit.register(self._process.stdin.close)
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


WATCHDOG = Watchdog()


def kill_group(group: int) -> None:
    """Kills a process and the programs that it started, unless they have ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def main() -> None:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    groups = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        kill_group(group)


if __name__ == "__main__":
    main()
