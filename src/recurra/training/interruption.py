"""Ctrl-C during training: the loop finishes its step and saves before it stops."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class Interruption:
    """Handles SIGINT and SIGTERM inside a `with` block: the first sets `requested`, the second stops at once.

    Python delivers signals to the main thread only; in another thread this does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self.previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self.previous[number] = signal.signal(number, self.request)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def request(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """The signal handler."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
