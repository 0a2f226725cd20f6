"""Ctrl-C while Python imports, where raising an exception would leave half a library behind, or be swallowed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def dying_at_once() -> Iterator[None]:
    """Ctrl-C inside ends the process without a word: there is nothing to lose yet."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
