"""Recordings with labelled segments, and the series to classify that are cut from them."""

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.errors import DataError


class Segment(NamedTuple):
    """Consecutive steps of a recording with one label."""

    label: str | None  # None where labels were not read
    start: int  # first step
    stop: int  # the step after the last


class Recording(NamedTuple):
    """Measurements step by step, with labelled segments."""

    values: NDArray[np.float32]  # (time, channels)
    segments: list[Segment]  # in order of time, without overlap; steps without a label are in none
    name: str  # file and place, for messages
    group: str | None = None  # such as a person; recordings of a group are on one side of a split
    channels: tuple[str, ...] = ()


class Series(NamedTuple):
    """Values with one label: an example for a classifier."""

    values: NDArray[np.float32]  # (time, channels)
    label: str | None  # None where labels were not read
    name: str  # file and place, for messages
    group: str | None = None
    channels: tuple[str, ...] = ()
    before: str | None = None  # label of its last step, if `label` is that of a later step

    @property
    def content(self) -> NDArray[np.float32]:
        """The input of a classifier: the values."""
        return self.values

    @property
    def place(self) -> str:
        """The name, for messages."""
        return self.name


def to_float32(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Measurements in float32, a view where possible; a number too large becomes infinite and counts as missing."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def numbered(num_channels: int) -> tuple[str, ...]:
    """Names of unnamed channels: 1, 2, ..."""
    return tuple(str(number + 1) for number in range(num_channels))


def segments_of(codes: NDArray[np.integer], labels: Sequence[str | None]) -> list[Segment]:
    """Segments from the index of each step's label, (time,), negative where it has none."""
    cuts = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    return [Segment(labels[codes[start]], start, stop) for start, stop in pairwise(cuts) if codes[start] >= 0]


def without_steps(recording: Recording, bad: NDArray[np.bool_]) -> Recording:
    """A recording without the steps that are bad, (time,); the steps around them become neighbors."""
    moved = np.concatenate([[0], np.cumsum(~bad)]).tolist()  # new position of each step and of the end
    segments = [Segment(label, moved[start], moved[stop]) for label, start, stop in recording.segments]
    kept = [segment for segment in segments if segment.start < segment.stop]
    return recording._replace(values=recording.values[~bad], segments=kept)


def whole_series(recording: Recording) -> Series:
    """A recording as one series; raises DataError where its label changes, or a step has none."""
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
    """Windows of equal length within segments, the first at the beginning of each segment.

    Args:
        recording: to cut; the values of the windows are views of its values.
        window: steps.
        overlap: steps that a window shares with the one before, fewer than `window`.
        labels: labels to keep; None for all.
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
    """Windows of equal length, each with the label of a later step.

    Args:
        recording: to cut; the values of the windows are views of its values.
        window: steps.
        ahead: steps from the last step of a window to the step with its label, at least 1.
        stride: steps from one window to the next, counted back from the last possible window.
        part: begin and end of the steps with the labels, as shares of the time; windows may begin before it.

    Returns:
        windows with a label; all windows up to the last step if labels were not read.
    """
    values, segments, name, group, channels = recording
    label_of: list[str | None] = [None] * len(values)
    for label, start, end in segments:
        label_of[start:end] = [label] * (end - start)
    is_labelled = any(segment.label is not None for segment in segments)
    first, stop = (round(share * len(values)) for share in part)
    lasts = range(len(values) - 1 if not is_labelled else stop - 1 - ahead, max(first - ahead, window - 1) - 1, -stride)
    return [
        Series(
            values[last - window + 1 : last + 1],
            label_of[last + ahead] if is_labelled else None,
            f"{name} steps {last - window + 2} to {last + 1}",
            group,
            channels,
            label_of[last],
        )
        for last in reversed(lasts)
        if not is_labelled or label_of[last + ahead] is not None
    ]
