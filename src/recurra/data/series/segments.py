"""Recordings with labelled stretches, and the series to classify that are cut from them."""

import itertools
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.errors import DataError


class Segment(NamedTuple):
    """A stretch of a recording with one label."""

    label: str | None  # None where labels were not asked for
    start: int  # first step
    stop: int  # the step after the last


class Recording(NamedTuple):
    """What sensors gave, step by step, and what went on meanwhile."""

    values: NDArray[np.float32]  # (time, channels)
    segments: list[Segment]  # by time, none overlapping; steps without a label are in none
    name: str  # file and place, for messages
    group: str | None = None  # whose it is: a group is on one side of a split
    channels: tuple[str, ...] = ()


class Series(NamedTuple):
    """Values with one label: an example for a classifier."""

    values: NDArray[np.float32]  # (time, channels)
    label: str | None  # None where labels were not asked for
    name: str  # file and place, for messages
    group: str | None = None
    channels: tuple[str, ...] = ()
    before: str | None = None  # label of its last step, where `label` is that of a later one

    @property
    def content(self) -> NDArray[np.float32]:
        """What a classifier reads: the values."""
        return self.values

    @property
    def place(self) -> str:
        """Where it stands: its name."""
        return self.name


def numbered(num_channels: int) -> tuple[str, ...]:
    """Names of channels that a file does not name: 1, 2, ..."""
    return tuple(str(number + 1) for number in range(num_channels))


def segments_of(codes: NDArray[np.integer], labels: Sequence[str | None]) -> list[Segment]:
    """Segments of a label per step.

    Args:
        codes: index of each step's label, negative where it has none, (time,).
        labels: the labels meant.
    """
    changes = np.flatnonzero(np.diff(codes)) + 1
    starts, stops = [0, *changes.tolist()], [*changes.tolist(), len(codes)]
    return [
        Segment(labels[codes[start]], start, stop)
        for start, stop in zip(starts, stops, strict=True)
        if codes[start] >= 0
    ]


def without_steps(recording: Recording, bad: NDArray[np.bool_]) -> Recording:
    """A recording less the steps that are bad, (time,); what was around them is joined."""
    moved = np.concatenate([[0], np.cumsum(~bad)]).tolist()  # where each step, and the end, comes to lie
    segments = [Segment(label, moved[start], moved[stop]) for label, start, stop in recording.segments]
    return recording._replace(
        values=recording.values[~bad],
        segments=[segment for segment in segments if segment.start < segment.stop],
    )


def whole_series(recording: Recording) -> Series:
    """A recording of one label as one series.

    Raises:
        DataError: its label changes, or it has none throughout.
    """
    values, segments, name, group, channels = recording
    if not segments:
        raise DataError(f"{name}: has no label")
    label, start, stop = segments[0]
    if (start, stop) != (0, len(values)):
        raise DataError(
            f"{name}: label {label!r} holds for steps {start + 1} to {stop} of {len(values)}; expected one label for "
            "the whole. Set window to cut it into windows of one label"
        )
    return Series(values, label, name, group, channels)


def labelled_windows(
    recording: Recording, window: int, overlap: int = 0, labels: Collection[str] | None = None
) -> list[Series]:
    """Windows of equal length, each wholly inside a segment; the first begins where the segment does.

    Args:
        recording: what to cut; the values of the windows are views of its.
        window: steps.
        overlap: steps that a window shares with the one before, fewer than `window`.
        labels: the labels wanted, all where None.
    """
    assert 0 <= overlap < window
    values, segments, name, group, channels = recording
    return [
        Series(values[at : at + window], label, f"{name} steps {at + 1} to {at + window}", group, channels)
        for label, start, stop in segments
        if labels is None or label in labels
        for at in range(start, stop - window + 1, window - overlap)
    ]


def windows_ahead(
    recording: Recording, window: int, ahead: int, stride: int = 1, part: tuple[float, float] = (0, 1)
) -> list[Series]:
    """Windows of equal length, each labelled by what comes: by the step so many after its end.

    Args:
        recording: what to cut; the values of the windows are views of its.
        window: steps.
        ahead: steps from the last of a window to that of its label, at least 1.
        stride: steps from one window to the next; the last one counts in any case.
        part: of the time, from one share to another, that the labels lie in; windows reach back before it.

    Returns:
        the windows whose label is known; where labels were not asked for, all that there are, to the very last.
    """
    values, segments, name, group, channels = recording
    told = labels_by_step(recording)
    is_labelled = any(segment.label is not None for segment in segments)
    first, stop = (round(share * len(values)) for share in part)
    lasts = range(len(values) - 1 if not is_labelled else stop - 1 - ahead, max(first - ahead, window - 1) - 1, -stride)
    return [
        Series(
            values[last - window + 1 : last + 1],
            told[last + ahead] if is_labelled else None,
            f"{name} steps {last - window + 2} to {last + 1}",
            group,
            channels,
            told[last],
        )
        for last in reversed(lasts)
        if not is_labelled or told[last + ahead] is not None
    ]


def labels_by_step(recording: Recording) -> list[str | None]:
    """The label of each step, None where it has none."""
    told: list[str | None] = [None] * len(recording.values)
    for label, start, stop in recording.segments:
        told[start:stop] = itertools.repeat(label, stop - start)
    return told
