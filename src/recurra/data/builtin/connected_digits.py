"""Strings of words, joined from recordings of single words."""

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from recurra.data.media.sound import Samples, Utterance
from recurra.errors import DataError, UsageError

MAX_PAUSE = 0.3  # seconds
LOUDNESS_WINDOW = 0.01  # seconds over which loudness is measured


def join_utterances(
    utterances: Sequence[Utterance], count: int, sample_rate: int, seed: str, lengths: tuple[int, int] = (2, 5)
) -> list[Utterance]:
    """Strings of words, each joined from recordings of one speaker, with pauses between them.

    Speaker, number of recordings, recordings and lengths of pauses are drawn uniformly; a recording may occur several
    times. A pause is noise, at most as loud as the quietest 10 ms of the recording before it.

    Args:
        utterances: recordings of words, each with its speaker.
        count: number of strings.
        sample_rate: Hz, of the recordings.
        seed: any text. The same seed gives the same strings, and a smaller `count` the first ones of them.
        lengths: fewest and most recordings in a string.

    Raises:
        DataError: a recording without a speaker, or no recordings.
        UsageError: lengths that are no range of numbers above 0.
    """
    if not 1 <= lengths[0] <= lengths[1]:
        raise UsageError(f"connected lengths: expected fewest and most, at least 1, got {lengths}")
    if not utterances:
        raise DataError("connected: no recordings to join")
    by_speaker: dict[str, list[Utterance]] = {}
    for one in utterances:
        if one.speaker is None:
            raise DataError(f"{one.place}: no speaker; only recordings of one speaker can be joined")
        by_speaker.setdefault(one.speaker, []).append(one)
    speakers, number = sorted(by_speaker), random.Random(seed).random  # draws that never change
    strings = []
    for _ in range(count):
        own = by_speaker[speakers[int(number() * len(speakers))]]
        size = lengths[0] + int(number() * (lengths[1] - lengths[0] + 1))
        strings.append(join([own[int(number() * len(own))] for _ in range(size)], sample_rate, number))
    return strings


def join(clips: Sequence[Utterance], sample_rate: int, number: Callable[[], float]) -> Utterance:
    """Recordings of one speaker joined with pauses; `number` draws uniformly from [0, 1)."""
    pieces = [clips[0].samples]
    for before, after in pairwise(clips):
        loudness = number() * quietest_loudness(before.samples, round(LOUDNESS_WINDOW * sample_rate))
        noise = [2 * number() - 1 for _ in range(int(number() * MAX_PAUSE * sample_rate))]
        pieces += [np.array(noise, np.float32) * np.float32(loudness * math.sqrt(3)), after.samples]
    transcript, place = " ".join(clip.transcript for clip in clips), " + ".join(clip.place for clip in clips)
    made_of = " ".join([*(clip.digest for clip in clips), *(str(len(piece)) for piece in pieces)])
    digest = hashlib.sha256(made_of.encode()).hexdigest()
    return Utterance(np.concatenate(pieces), transcript, clips[0].speaker, place, digest)


def quietest_loudness(samples: Samples, window: int) -> float:
    """Root mean square of the quietest of consecutive windows of some number of samples."""
    size = min(window, len(samples))
    means = np.square(samples[: len(samples) // size * size].reshape(-1, size)).mean(1)
    return math.sqrt(float(means.min()))
