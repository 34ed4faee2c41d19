"""The error that a person reads."""


class PipelineError(Exception):
    """What was wrong, and what to do next. A wrong command line or file has the exit code 2."""

    def __init__(self, what: str, next: str, exit_code: int = 1) -> None:
        super().__init__(what)
        self.next = next
        self.exit_code = exit_code
