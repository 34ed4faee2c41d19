"""The error of the trainer: what went wrong, where, and what to do next."""

import json
import sys
from collections.abc import Iterable

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_DATA = 3
EXIT_SELF_CHECK = 4
EXIT_INTERRUPTED = 130


class TrainingError(Exception):
    """An error that the caller of the trainer can correct."""

    def __init__(
        self,
        what: str,
        *,
        next_step: str,
        where: str = "",
        exit_code: int = EXIT_DATA,
        details: list[str] | None = None,
        columns: list[dict] | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.next_step = next_step
        self.exit_code = exit_code
        # One line for each column that cannot be used, and the same for programs.
        self.details = details or []
        self.columns = columns or []

    def render(self) -> str:
        lines = [f"error: {self.what}"]
        lines += [f"  - {detail}" for detail in self.details]
        if self.where:
            lines.append(f"  where: {self.where}")
        lines.append(f"  next:  {self.next_step}")
        return "\n".join(lines)

    def tell(self, as_json: bool) -> int:
        """Prints the error, for programs too if they asked for it. Returns the exit code."""
        print(self.render(), file=sys.stderr)
        if as_json:
            print(json.dumps(self.as_json()))
        return self.exit_code

    def as_json(self) -> dict:
        error = {
            "what": self.what,
            "where": self.where,
            "next": self.next_step,
            "exit_code": self.exit_code,
        }
        return {"error": {**error, "columns": self.columns} if self.columns else error}


def usage_error(what: str, next_step: str) -> TrainingError:
    return TrainingError(what, where="command line", next_step=next_step, exit_code=EXIT_USAGE)


def some_of(names: Iterable, limit: int = 40) -> str:
    """The first names, for a message: a table of a thousand columns would make it unreadable."""
    names = [str(name) for name in names]
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
