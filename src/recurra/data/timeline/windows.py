"""Windows of time series: a context, and the horizon after it that is forecast."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from recurra.config import Shares
from recurra.data.splits import SPLITS, consecutive
from recurra.data.timeline.timeline import Timeline, TimelineOptions
from recurra.errors import DataError, counted, shortened


class SplitOptions(TimelineOptions):
    """Which table and columns, and how time is split."""

    shares: Shares = Field((0.7, 0.1, 0.2), description="training, validation and test share of the time")
    split_steps: tuple[int, int, int] | None = Field(
        None, description="instead of shares: number of training, validation and test steps"
    )

    @field_validator("split_steps")
    @classmethod
    def steps_are_steps(cls, steps: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        """No split is empty."""
        if steps and min(steps) <= 0:
            raise ValueError("numbers of steps above 0")
        return steps


class ForecastWindow(NamedTuple):
    """A batch of windows, or one window without the batch axis."""

    context: NDArray[np.floating[Any]]  # values known at its last step, (context, batch, channels)
    targets: NDArray[np.floating[Any]]  # NaN where the table has none, (horizon, batch, targets)
    future: NDArray[np.floating[Any]]  # future covariates, (horizon, batch, features)


def drop_short(timelines: Sequence[Timeline], context: int, horizon: int) -> list[Timeline]:
    """The series that are long enough for a window; raises DataError if none is."""
    kept = [timeline for timeline in timelines if len(timeline.times) >= context + horizon]
    if not kept:
        longest = max(timelines, key=lambda timeline: len(timeline.times))
        raise DataError(
            f"{longest.place}: {counted(len(longest.times), 'step')}, expected at least {context + horizon:,}, a "
            f"context of {context:,}{f' and a horizon of {horizon:,}' if horizon else ''}; choose smaller ones, or "
            "give more data"
        )
    return kept


def describe_dropped(timelines: Sequence[Timeline], kept: Sequence[Timeline]) -> list[str]:
    """A sentence about the series that are too short; none where all are long enough."""
    known = {timeline.name for timeline in kept}
    short = [timeline.name for timeline in timelines if timeline.name not in known]
    if not short:
        return []
    are, more = "is" if len(short) == 1 else "are", ", ..." if len(short) > 8 else ""
    shown = ", ".join(map(shortened, short[:8]))
    return [f"{len(short):,} of {len(timelines):,} series {are} too short and left out: {shown}{more}"]


def cut_spans(timelines: Sequence[Timeline], options: SplitOptions) -> dict[str, list[range]]:
    """Training, validation and test steps of each series; all series are cut at the same points in time.

    Were each cut by itself, training steps of one series could lie after test steps of another.

    Returns:
        by split a range of steps for each series, empty where it has none there.

    Raises:
        DataError: `split_steps` are more than the steps of the table.
    """
    times = np.unique(np.concatenate([timeline.times for timeline in timelines]))
    parts = options.split_steps or [len(times) * share for share in options.shares]
    cuts = [(round(begin), round(end)) for begin, end in consecutive(parts)]
    if cuts[-1][1] > len(times):
        raise DataError(
            f"{timelines[0].path}: {counted(len(times), 'step')}, fewer than --split-steps "
            f"{','.join(map(str, parts))}; choose smaller ones"
        )
    spans = {}
    for split, cut in zip(SPLITS, cuts, strict=True):
        numbers = (np.searchsorted(times, timeline.times) for timeline in timelines)  # of each step in all times
        spans[split] = [range(*np.searchsorted(steps, cut).tolist()) for steps in numbers]
    return spans


def split_spans(
    timelines: Sequence[Timeline], options: SplitOptions, context: int, horizon: int
) -> dict[str, list[range]]:
    """The steps of `cut_spans`, where every split has a window and an observed target.

    Raises:
        DataError: `split_steps` are more than the steps of the table, or a split has no window or no observed target.
    """
    spans = cut_spans(timelines, options)
    for split, parts in spans.items():
        if not len(Windows(timelines, parts, context, horizon)):
            raise DataError(
                f"{timelines[0].path}: the {split} part holds {counted(max(map(len, parts)), 'step')}, no window of "
                f"horizon {horizon:,} after a context of {context:,}; choose smaller ones, or other shares"
            )
        targets = (
            timeline.observed(np.arange(part.start, part.stop)) for timeline, part in zip(timelines, parts, strict=True)
        )
        if all(np.isnan(values).all() for values in targets):
            raise DataError(f"{timelines[0].path}: the targets of the {split} part are all filled in; cut it off")
    return spans


class Windows:
    """All windows whose horizon lies in given spans of some series; the context may begin before the span.

    By the end of each context every target and past covariate has had a value.

    Args:
        timelines: the series; nothing of them is copied before a batch is asked for.
        spans: steps of each series in which horizons lie.
        context: steps of a context.
        horizon: steps to forecast.
        stride: steps from one window to the next.
    """

    def __init__(
        self, timelines: Sequence[Timeline], spans: Sequence[range], context: int, horizon: int, stride: int = 1
    ) -> None:
        assert min(context, horizon, stride) > 0
        self.timelines, self.context, self.horizon, self.stride = timelines, context, horizon, stride
        stops = np.array([span.stop for span in spans])
        complete = [timeline.first_complete + 1 for timeline in timelines]
        self.firsts = np.array([max(span.start, context, first) for span, first in zip(spans, complete, strict=True)])
        self.counts = np.maximum((stops - horizon - self.firsts) // stride + 1, 0)
        self.ends = np.cumsum(self.counts)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def locate(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Index of the series and first step of the horizon of some windows, each (batch,)."""
        assert ((indices >= 0) & (indices < len(self))).all()
        series = np.searchsorted(self.ends, indices, "right")
        within = indices - (self.ends - self.counts)[series]
        return series, self.firsts[series] + self.stride * within

    def window(self, index: int) -> ForecastWindow:
        """One window: (context, channels), (horizon, targets) and (horizon, features)."""
        return ForecastWindow(*(part[:, 0] for part in self.batch(np.array([index]))))

    def batch(self, indices: NDArray[np.int64]) -> ForecastWindow:
        """The windows with some indices, (batch,), as a batch."""
        series, first = self.locate(indices)
        steps = first + np.arange(-self.context, self.horizon).reshape(-1, 1)  # (context + horizon, batch)
        before, after = steps[: self.context], steps[self.context :]
        one = self.timelines[0]
        widths = (self.context, len(one.channels)), (self.horizon, one.num_targets), (self.horizon, one.num_known)
        batch = ForecastWindow(*(np.empty((length, len(indices), width), one.data.dtype) for length, width in widths))
        for number in np.unique(series):
            timeline, here = self.timelines[number], series == number
            batch.context[:, here] = timeline.as_known(before[:, here])
            batch.targets[:, here] = timeline.observed(after[:, here])
            batch.future[:, here] = timeline.known[after[:, here]]
        return batch

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Indices of all windows in an order that only seed and epoch decide, (windows,)."""
        return np.random.default_rng((seed, epoch)).permutation(len(self))
