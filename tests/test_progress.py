"""What a long job shows, on a terminal and in a log."""

import io

import pytest
from rich.console import Console

import recurra.progress
from recurra.progress import ConsoleProgress, in_words


def listener(terminal: bool) -> tuple[ConsoleProgress, io.StringIO]:
    shown = io.StringIO()
    progress = ConsoleProgress()
    progress.console = Console(file=shown, force_terminal=terminal, width=100, highlight=False)
    return progress, shown


def test_stages_nest_on_a_terminal() -> None:
    progress, shown = listener(terminal=True)
    with progress.stage("training", 4) as advance:
        advance(1, "loss 3.25")
        with progress.stage("validating", 2) as inner:
            inner(1)
        progress.note("epoch 1")
        advance(3, "loss 1.5")
    assert "epoch 1" in shown.getvalue()
    assert "75%" in shown.getvalue() or "100%" in shown.getvalue()


def test_log_says_how_far_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 20.0, 30.0])
    monkeypatch.setattr(recurra.progress.time, "monotonic", lambda: next(clock))
    progress, shown = listener(terminal=False)
    with progress.stage("training", 10, done=2) as advance:
        advance(1, "too soon")
        advance(3, "loss 1.5")
        advance(1, "too soon again")
    # 4 of the 8 that were left took 20 seconds, so 4 more take 20 more
    assert shown.getvalue().splitlines() == ["training  60%, 20 s left  loss 1.5"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (4190, "1 h 09 min")]
)
def test_durations(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
