"""What a job is doing, as lines on the error stream, and its log."""

import json
import sys
import time
from pathlib import Path
from typing import TextIO


class Progress:
    """Says in which of SageMaker's states a job is, shows its log, and keeps that in a file."""

    def __init__(self, log: Path, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.log = log
        self.quiet = quiet
        self.stream = stream or sys.stderr
        self.begun = time.monotonic()
        self.report: dict | None = None

    def state(self, state: str, text: str) -> None:
        """A state by SageMaker's name (Starting, Training, ..), and what happens in it."""
        self._say(f"{time.monotonic() - self.begun:6.1f} s  {state:12} {text}")

    def line(self, text: str) -> None:
        """One line of the job's log. The line with the figures of the model is kept apart."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
        report = figures(text)
        if report is None:
            self._say(f"          | {text}")
        else:
            self.report = report

    def _say(self, text: str) -> None:
        if not self.quiet:
            print(text, file=self.stream, flush=True)


def figures(line: str) -> dict | None:
    """The result of train.py, if the line is it: one JSON object with the figures of the model."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "training" in found else None
