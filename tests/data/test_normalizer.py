"""Normalized channels have mean 0 and standard deviation 1, and the numbers survive their file."""

import json

import numpy as np
import pytest

from recurra.data.normalizer import Normalizer
from recurra.errors import RunError, ShapeError

RNG = np.random.default_rng(5)


def pieces(scale: float = 1.0, shift: float = 0.0) -> list[np.ndarray]:
    """Series of different lengths, three channels of different sizes."""
    sizes = np.array([scale, 30, 0.002])
    return [(RNG.normal(shift, 1, (steps, 3)) * sizes).astype(np.float32) for steps in (5, 1, 211, 34)]


def test_mean_and_deviation_are_those_of_all_steps_joined() -> None:
    arrays = pieces(shift=0.7)
    joined = np.concatenate(arrays).astype(np.float64)
    normalizer = Normalizer.of(arrays)
    np.testing.assert_allclose(normalizer.mean, joined.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(normalizer.scale, joined.std(axis=0), rtol=1e-12)


def test_applied_it_gives_mean_zero_and_deviation_one() -> None:
    arrays = pieces(shift=0.7)
    normalizer = Normalizer.of(arrays)
    applied = np.concatenate([normalizer.apply(array) for array in arrays])
    assert applied.dtype == np.float32
    np.testing.assert_allclose(applied.mean(axis=0, dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(applied.std(axis=0, dtype=np.float64), 1, atol=1e-6)


def test_a_small_signal_on_a_large_offset_survives() -> None:
    """In float32 the mean of a million steps near 10,000 is off by more than this signal."""
    signal = (10_000 + np.tile([0.0, 0.0078125], 500_000)).astype(np.float32)[:, np.newaxis]
    normalizer = Normalizer.of([signal[:300_001], signal[300_001:]])
    np.testing.assert_allclose(normalizer.scale, 0.00390625, rtol=1e-9)
    np.testing.assert_allclose(normalizer.apply(signal[:2]), [[-1], [1]], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_channel_keeps_its_scale(dtype: type) -> None:
    """In float64 the mean of 49 times 0.1 is not 0.1: a deviation of rounding errors must not become a scale."""
    arrays = [np.stack([np.full(steps, 0.1), RNG.normal(size=steps)], axis=1).astype(dtype) for steps in (31, 18)]
    normalizer = Normalizer.of(arrays)
    assert normalizer.scale[0] == 1
    assert normalizer.scale[1] != 1
    np.testing.assert_allclose(normalizer.apply(arrays[0] + dtype(0.5))[:, 0], 0.5, rtol=1e-6)


def test_the_file_gives_back_the_very_numbers() -> None:
    normalizer = Normalizer.of(pieces(scale=1e-20, shift=1 / 3))
    again = Normalizer.parse(normalizer.dump())
    assert again.mean.tobytes() == normalizer.mean.tobytes()
    assert again.scale.tobytes() == normalizer.scale.tobytes()


def test_other_channels_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected 3 channels on the last axis, got \(9, 2\)"):
        Normalizer.of(pieces()).apply(np.ones((9, 2), np.float32))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        json.dumps({"mean": [1.0], "scale": [1.0, 2.0]}),
        json.dumps({"mean": [[1.0]], "scale": [[1.0]]}),
        json.dumps({"mean": [1.0], "scale": [0.0]}),
        json.dumps({"mean": ["a"], "scale": [1.0]}),
        '{"mean": [NaN], "scale": [1.0]}',
    ],
)
def test_what_is_no_normalizer_is_refused(text: str) -> None:
    with pytest.raises(RunError, match="normalizer: expected"):
        Normalizer.parse(text)
