"""The columns that cannot be used, in one error.

A table of many columns would otherwise take one attempt for each of them.
"""

from dataclasses import dataclass

from .errors import TrainingError
from .names import joined


@dataclass(frozen=True)
class Problem:
    """What is wrong with one column, where, and what to do about it."""

    column: str
    what: str
    where: str
    next_step: str


class Problems:
    """The problems of one training's columns."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._found: list[Problem] = []

    def add(self, column: str, what: str, next_step: str, where: str = "") -> None:
        self._found.append(Problem(column, what, where or self._path, next_step))

    def check(self) -> None:
        """Raises one error with every problem, if there are any."""
        if not self._found:
            return
        if len(self._found) == 1:
            (only,) = self._found
            raise TrainingError(only.what, where=only.where, next_step=only.next_step)

        columns = list(dict.fromkeys(problem.column for problem in self._found))
        raise TrainingError(
            f"{len(columns):,} columns cannot be used",
            where=self._path,
            next_step="mend each as it says, or leave all of them out: --exclude"
            f" {joined(columns)}",
            details=[self._line(problem) for problem in self._found],
            columns=[
                {"column": problem.column, "what": problem.what, "next": problem.next_step}
                for problem in self._found
            ],
        )

    def _line(self, problem: Problem) -> str:
        place = "" if problem.where == self._path else f" ({problem.where})"
        return f"{problem.what}. Next: {problem.next_step}{place}"
