"""Dialled numbers: every key has its two tones, and the same seed gives the same numbers."""

import numpy as np
import pytest

from recurra.data.builtin import touch_tones as module
from recurra.data.builtin.touch_tones import COLUMNS, ROWS, dial, touch_tones
from recurra.errors import UsageError

RATE = 4000  # Hz


@pytest.mark.parametrize(
    ("digit", "low", "high"), [("1", 697, 1209), ("6", 770, 1477), ("8", 852, 1336), ("0", 941, 1336)]
)
def test_every_key_has_its_two_tones(digit: str, low: int, high: int) -> None:
    samples = dial(digit, RATE, lambda: 0.5)
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 14)) ** 2
    frequencies = np.fft.rfftfreq(1 << 14, 1 / RATE)
    for tones, expected in ((ROWS, low), (COLUMNS, high)):
        loudness = {tone: power[np.abs(frequencies - tone) < 10].sum() for tone in tones}
        assert max(loudness, key=loudness.__getitem__) == expected


def test_numbers_are_of_their_splits_alone_and_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNTS", {"train": 300, "valid": 40, "test": 50})
    found, again, other = touch_tones(RATE), touch_tones(RATE), touch_tones(RATE, seed=2)
    numbers = {split: {one.transcript for one in part} for split, part in found.items()}
    assert {split: len(part) for split, part in numbers.items()} == {"train": 300, "valid": 40, "test": 50}
    assert not numbers["train"] & (numbers["valid"] | numbers["test"])
    assert {len(number) for number in numbers["train"]} == {3, 4, 5, 6, 7}
    assert set("".join(numbers["train"])) == set("0123456789")
    for one, same in zip(found["test"], again["test"], strict=True):
        assert one.transcript == same.transcript
        np.testing.assert_array_equal(one.samples, same.samples)
        assert one.samples.dtype == np.float32
        assert one.digest == same.digest
    assert numbers["test"] != {one.transcript for one in other["test"]}
    assert len({one.digest for splits in (found, other) for part in splits.values() for one in part}) == 780


def test_a_rate_that_holds_no_tones() -> None:
    with pytest.raises(UsageError, match="touch-tones: expected sample_rate of at least 3,200 Hz, got 3,199"):
        touch_tones(3199)
