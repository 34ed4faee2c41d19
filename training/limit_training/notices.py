"""What a person should know about a training that went through.

Every module adds its notices here. They are printed after the figures and are in the JSON report.
"""


class Notices:
    """The notices of one training, in the order in which they were found, each once."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}

    def add(self, text: str | None) -> None:
        """Adds a notice; None and a text that is already there add nothing."""
        if text:
            self._texts[text] = None

    def texts(self) -> list[str]:
        return list(self._texts)
