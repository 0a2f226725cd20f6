"""The data set touch-tones: dialled numbers as the sounds of telephone keys."""

import hashlib
import math
import random
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recurra.data.media.sound import Utterance
from recurra.errors import UsageError

ROWS, COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477)  # Hz, of the keys 123, 456, 789 and 0 in the middle
MIN_RATE = 3_200  # Hz; the tones are below half of it
KEYS = "123456789*0"
COUNTS = {"train": 2_000, "valid": 200, "test": 500}
NUM_DIGITS = 3, 7  # fewest and most of a number
TONE, GAP = (0.05, 0.15), (0.03, 0.15)  # seconds
LOUDNESS, NOISE = (0.05, 0.4), (0.001, 0.1)  # amplitude of each tone, and of the noise on the line
DETUNED = 0.01  # largest relative error of the frequencies of a telephone


def touch_tones(sample_rate: int, seed: int = 1) -> dict[str, list[Utterance]]:
    """Random numbers, each dialled on another telephone over a noisy line; no number is in two splits.

    Args:
        sample_rate: Hz, at least 3,200.
        seed: same seed, same numbers and times.

    Returns:
        "train", "valid" and "test", as many as `COUNTS` says.

    Raises:
        UsageError: a lower sample rate.

    Source: ITU-T Q.23, Technical features of push-button telephone sets.
    """
    if sample_rate < MIN_RATE:
        raise UsageError(f"touch-tones: expected sample_rate of at least {MIN_RATE:,} Hz, got {sample_rate:,}")
    number = random.Random(seed).random  # the only draws that Python promises never to change
    rng, seen = np.random.default_rng(seed), set[str]()
    found: dict[str, list[Utterance]] = {}
    for split, count in COUNTS.items():
        found[split] = []
        while len(found[split]) < count:
            length = NUM_DIGITS[0] + int(number() * (NUM_DIGITS[1] - NUM_DIGITS[0] + 1))
            dialled = "".join(str(int(number() * 10)) for _ in range(length))
            if dialled not in seen:
                seen.add(dialled)
                samples = dial(dialled, sample_rate, number)
                noise = np.float32(draw_between(NOISE, number)) * rng.standard_normal(len(samples), np.float32)
                place = f"touch-tones {split} number {len(found[split]) + 1}"
                digest = hashlib.sha256(f"{seed} {sample_rate} {place} {dialled} {len(samples)}".encode()).hexdigest()
                found[split].append(Utterance(samples + noise, dialled, None, place, digest))
    return found


def dial(digits: str, sample_rate: int, number: Callable[[], float]) -> NDArray[np.float32]:
    """The tones of some digits, (samples,); `number` draws from 0 to 1."""
    tuning = 1 + DETUNED * (2 * number() - 1)
    pieces = [np.zeros(round(draw_between(GAP, number) * sample_rate))]
    for digit in digits:
        row, column = divmod(KEYS.index(digit), len(COLUMNS))
        time = np.arange(round(draw_between(TONE, number) * sample_rate)) / sample_rate
        low, high = (np.sin(2 * math.pi * tuning * pitch * time) for pitch in (ROWS[row], COLUMNS[column]))
        pieces += [
            draw_between(LOUDNESS, number) * (low + high),
            np.zeros(round(draw_between(GAP, number) * sample_rate)),
        ]
    return np.concatenate(pieces).astype(np.float32)


def draw_between(ends: tuple[float, float], number: Callable[[], float]) -> float:
    """A number between two others."""
    return ends[0] + (ends[1] - ends[0]) * number()
