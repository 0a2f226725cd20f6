"""Scaling of series: by mean and deviation of the training part, or by those of each window."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.normalizer import Normalizer
from recurra.data.timeline.timeline import Timeline

Values = NDArray[np.floating[Any]]


def training_normalizer(timelines: Sequence[Timeline], spans: Sequence[range]) -> Normalizer:
    """Mean and standard deviation of each channel over the training steps of all series."""
    parts = zip(timelines, spans, strict=True)
    return Normalizer.of([timeline.as_known(np.arange(span.start, span.stop)) for timeline, span in parts if span])


def normalize(values: Values, normalizer: Normalizer, first: int = 0) -> Values:
    """Values in training deviations from the training mean.

    Args:
        values: some channels, (..., channels).
        normalizer: of all channels.
        first: index of the first of them: 0 for targets, `Timeline.first_known` for future covariates.
    """
    channels = slice(first, first + values.shape[-1])
    return (values - normalizer.mean[channels]) / normalizer.scale[channels]


def restore(values: Values, normalizer: Normalizer, first: int = 0) -> Values:
    """The inverse of `normalize`."""
    channels = slice(first, first + values.shape[-1])
    return values * normalizer.scale[channels] + normalizer.mean[channels]


def normalize_series(timeline: Timeline, normalizer: Normalizer) -> Timeline:
    """A series with normalized values for `Windows`; `ahead` stays in units of the table."""
    return timeline._replace(data=np.asarray(normalize(timeline.data, normalizer), np.float64))


class WindowScale(NamedTuple):
    """Center and scale of each window of a batch; future covariates are not scaled."""

    center: Values  # (1, batch, channels)
    scale: Values  # (1, batch, channels)

    @classmethod
    def of(
        cls, context: Values, num_scaled: int, center: Literal["last", "mean"], floor: float = 0.01
    ) -> "WindowScale":
        """The last value or the mean of each context, and its standard deviation.

        Args:
            context: (context, batch, channels).
            num_scaled: how many channels are scaled, from the first on.
            center: what becomes 0.
            floor: smallest scale, in units of the context.
        """
        is_scaled = np.arange(context.shape[-1]) < num_scaled
        middle = context[-1:] if center == "last" else context.mean(0, keepdims=True)
        spread = np.maximum(context.std(0, keepdims=True), floor)
        return cls(np.where(is_scaled, middle, 0), np.where(is_scaled, spread, 1))

    def apply(self, values: Values) -> Values:
        """Scaled values of the first channels of the windows, (time, batch, channels)."""
        channels = values.shape[-1]
        return (values - self.center[..., :channels]) / self.scale[..., :channels]
