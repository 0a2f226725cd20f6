"""Two ways to take the same training steps, in turn in one process: which is faster, and are they the same?"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

WARM_UP, FEWEST = 5, 15  # steps
MOST_APART = 1e-3  # of two losses, relative


class Side(Protocol):
    """One of the two."""

    def step(self, batch: Any) -> float:
        """Take a training step and return its loss."""
        ...


class Outcome(NamedTuple):
    """What came of it; items are tokens or the like."""

    torch: float  # items a second
    ours: float
    ratio: float
    apart: float  # largest relative difference of two losses


def duel(plain: Side, ours: Side, batches: Iterator[Any], items: Callable[[Any], int], seconds: float) -> Outcome:
    """Let both take the same steps in turn.

    Args:
        plain: in torch alone.
        ours: the same model from the same weights.
        batches: what both read; never ends.
        items: how many tokens or the like a batch has.
        seconds: how long, at the least.

    Returns:
        Rates over the median time of an item, and how far the losses are apart.
    """
    times: tuple[list[float], list[float]] = ([], [])
    apart, losses, started = 0.0, [], time.perf_counter()
    while len(losses) < FEWEST or time.perf_counter() - started < seconds:
        batch, found = next(batches), []
        for side, taken in zip((plain, ours), times, strict=True):
            begin = time.perf_counter()
            found.append(side.step(batch))
            taken.append((time.perf_counter() - begin) / items(batch))
        losses.append(found)
        apart = max(apart, abs(found[0] - found[1]) / found[0])
    theirs, mine = (1 / statistics.median(taken[WARM_UP:]) for taken in times)
    print(f"torch {theirs:,.0f}, ours {mine:,.0f} tokens/s: ratio {mine / theirs:.2f}")
    print(f"loss {losses[0][0]:.3f} to {losses[-1][0]:.3f} in {len(losses)} steps, apart by {apart:.1e} at most")
    if apart > MOST_APART:
        raise SystemExit("the losses part: the two sides do not compute the same")
    return Outcome(theirs, mine, mine / theirs, apart)


def save(outcomes: dict[str, Outcome], folder: Path, name: str) -> None:
    """Write outcomes by what they are of, as JSON and as a Markdown table."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {what: outcome._asdict() for what, outcome in outcomes.items()}
    (folder / f"{name}.json").write_text(json.dumps(found, indent=2))
    lines = ["| model | torch tokens/s | ours | ratio | losses apart by |", "| --- " * 5 + "|"]
    lines += [
        f"| {what} | {one.torch:,.0f} | {one.ours:,.0f} | {one.ratio:.2f} | {one.apart:.1e} |"
        for what, one in outcomes.items()
    ]
    (folder / f"{name}.md").write_text("\n".join(lines) + "\n")
