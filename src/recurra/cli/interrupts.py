"""Ctrl-C while Python imports, where raising an exception would leave half a library behind, or be swallowed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def dying_at_once() -> Iterator[None]:
    """Ctrl-C inside ends the process without a word: there is nothing to lose yet."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield  # ignored, as in the background of a script, or somebody else's business
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
