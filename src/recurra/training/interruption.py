"""Ctrl-C during training: finish the step, save, and only then stop."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class Interruption:
    """Whether the user asked to stop. The first signal is remembered; a second one stops at once."""

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
        """Remember the signal, or give in to the second one."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
