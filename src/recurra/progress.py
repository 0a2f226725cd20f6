"""How a long job tells where it is, without knowing who listens."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

LOG_EVERY = 20.0  # seconds between lines where no one sees a moving bar


class Advance(Protocol):
    """Tells that `amount` more of a stage is done; `detail` is what to show beside it."""

    def __call__(self, amount: float, detail: str = "") -> None:
        """Tell."""


def ignore(amount: float, detail: str = "") -> None:
    """Listen to nothing."""


class Progress:
    """The silent listener, and the interface of the others."""

    def note(self, text: str) -> None:
        """Say one line."""

    @contextmanager
    def stage(self, title: str, total: float, done: float = 0) -> Iterator[Advance]:  # noqa: ARG002
        """Open a stage of `total` units, `done` of them already behind us."""
        yield ignore


class ConsoleProgress(Progress):
    """Shows a moving bar with an ETA on a terminal, and a line now and then elsewhere; all on standard error."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Say one line."""
        self.console.print(text, markup=False)

    @contextmanager
    def stage(self, title: str, total: float, done: float = 0) -> Iterator[Advance]:
        """Open a stage of `total` units, `done` of them already behind us."""
        with self._bar(title, total, done) if self.console.is_terminal else self._log(title, total, done) as advance:
            yield advance

    @contextmanager
    def _bar(self, title: str, total: float, done: float) -> Iterator[Advance]:
        from rich.console import Group
        from rich.live import Live
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
        from rich.text import Text

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
        )
        bar = RichProgress(*columns, console=self.console)
        task = bar.add_task(title, total=total)
        bar.update(task, completed=done)
        below = Text()  # a line of its own: beside the bar it would not fit into 80 columns

        def advance(amount: float, detail: str = "") -> None:
            bar.update(task, advance=amount)
            below.plain = detail

        with Live(Group(bar, below), console=self.console, transient=True, refresh_per_second=4):
            yield advance

    @contextmanager
    def _log(self, title: str, total: float, done: float) -> Iterator[Advance]:
        start = said = time.monotonic()
        now_done = done

        def advance(amount: float, detail: str = "") -> None:
            nonlocal said, now_done
            now_done += amount
            now = time.monotonic()
            if now - said >= LOG_EVERY and now_done < total:
                said = now
                left = (now - start) * (total - now_done) / max(now_done - done, 1e-9)
                self.note(f"{title} {now_done / total:4.0%}, {in_words(left)} left  {detail}".rstrip())

        yield advance


def in_words(seconds: float) -> str:
    """A duration to read: 42 s, 3 min 05 s, 1 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
