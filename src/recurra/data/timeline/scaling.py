"""Scales that make series comparable: one for the whole training part, or one for each window."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.normalizer import Normalizer
from recurra.data.timeline.timeline import Timeline

Values = NDArray[np.floating[Any]]


def training_normalizer(timelines: Sequence[Timeline], spans: Sequence[range]) -> Normalizer:
    """Mean and deviation of each channel over the given steps of all series."""
    parts = zip(timelines, spans, strict=True)
    return Normalizer.of([timeline.read(np.arange(span.start, span.stop)) for timeline, span in parts if span])


def normalize(values: Values, normalizer: Normalizer, first: int = 0) -> Values:
    """Values in training deviations from the training mean.

    Args:
        values: some channels, (..., channels).
        normalizer: of all channels.
        first: the channel they begin at: 0 for targets, `Timeline.first_known` for what is known beforehand.
    """
    channels = slice(first, first + values.shape[-1])
    return (values - normalizer.mean[channels]) / normalizer.scale[channels]


def restore(values: Values, normalizer: Normalizer, first: int = 0) -> Values:
    """What `normalize` made these values of."""
    channels = slice(first, first + values.shape[-1])
    return values * normalizer.scale[channels] + normalizer.mean[channels]


def normalize_series(timeline: Timeline, normalizer: Normalizer) -> Timeline:
    """A series for `Windows`; what is known of its future stays in units of the table."""
    return timeline._replace(data=np.asarray(normalize(timeline.data, normalizer), np.float64))


class WindowScale(NamedTuple):
    """Centre and scale of each window of a batch; covariates known beforehand keep theirs."""

    centre: Values  # (1, batch, channels)
    scale: Values  # (1, batch, channels)

    @classmethod
    def of(
        cls, context: Values, num_scaled: int, centre: Literal["last", "mean"], floor: float = 0.01
    ) -> "WindowScale":
        """The last value or the mean of each context, and its standard deviation.

        Args:
            context: (context, batch, channels).
            num_scaled: channels that are scaled, the first so many.
            centre: what becomes 0.
            floor: smallest scale, in units of the context: once normalized, training deviations.
        """
        is_scaled = np.arange(context.shape[-1]) < num_scaled
        middle = context[-1:] if centre == "last" else context.mean(0, keepdims=True)
        spread = np.maximum(context.std(0, keepdims=True), floor)
        return cls(np.where(is_scaled, middle, 0), np.where(is_scaled, spread, 1))

    def apply(self, values: Values) -> Values:
        """The first so many channels of the windows, scaled: a context, or targets, (time, batch, channels)."""
        channels = values.shape[-1]
        return (values - self.centre[..., :channels]) / self.scale[..., :channels]
