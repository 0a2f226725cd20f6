"""A listener that keeps what it is told."""

from recurra.progress import Progress


class Notes(Progress):
    """Every line that was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)
