"""Normalization of channels to mean 0 and standard deviation 1 on the training data."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.errors import RunError, ShapeError


class Normalizer:
    """Mean and scale of each channel.

    Args:
        mean: of each channel, (channels,).
        scale: divisor of each channel, above 0, (channels,).
    """

    def __init__(self, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
        assert mean.shape == scale.shape == (len(mean),)
        assert (scale > 0).all()
        self.mean, self.scale = mean, scale

    @classmethod
    def of(cls, arrays: Sequence[NDArray[np.floating]]) -> "Normalizer":
        """Mean and standard deviation over the steps of arrays (time, channels); a constant channel gets scale 1."""
        filled = [array for array in arrays if len(array)]
        steps = sum(map(len, filled))
        assert steps
        mean = sum(array.sum(axis=0, dtype=np.float64) for array in filled) / steps
        squares = sum(np.square(array - mean).sum(axis=0) for array in filled)
        low = np.min([array.min(axis=0) for array in filled], axis=0)
        high = np.max([array.max(axis=0) for array in filled], axis=0)
        # by its range, since rounding of the mean leaves a deviation that is tiny but not 0
        return cls(mean, np.where(low == high, 1.0, np.sqrt(squares / steps)))

    def apply(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Normalized values, (time, channels); raises ShapeError for another number of channels."""
        if values.shape[-1] != len(self.mean):
            raise ShapeError(f"normalizer: expected {len(self.mean)} channels on the last axis, got {values.shape}")
        return ((values - self.mean) / self.scale).astype(np.float32)

    def dump(self) -> str:
        """The normalizer as JSON, from which `parse` restores it exactly."""
        return json.dumps({"mean": self.mean.tolist(), "scale": self.scale.tolist()}, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> "Normalizer":
        """The normalizer that `dump` wrote; raises RunError for any other text."""
        try:
            values = json.loads(text)
            mean, scale = (np.array(values[name], np.float64) for name in ("mean", "scale"))
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"normalizer: expected JSON with lists of numbers mean and scale ({error})") from None
        if not (
            mean.ndim == 1 and mean.shape == scale.shape and np.isfinite([mean, scale]).all() and (scale > 0).all()
        ):
            raise RunError("normalizer: expected a finite mean and a scale above 0 for each channel")
        return cls(mean, scale)
