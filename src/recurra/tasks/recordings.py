"""Recordings with transcripts, and how they become what a recogniser reads."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from recurra.config import Section, Shares
from recurra.data.alphabet import Alphabet
from recurra.data.buckets import padded
from recurra.data.catalogue import find
from recurra.data.sound import SoundOptions, Utterance, connected, read_utterances, split_utterances
from recurra.data.touch_tones import touch_tones
from recurra.errors import DataError
from recurra.models.ctc import shortest
from recurra.models.spectrogram import LogMel
from recurra.progress import Progress
from recurra.runs import Json

Features = NDArray[np.float32]  # log-mel of a recording, (frames, mels)

TOUCH_TONES = "touch-tones"  # the name of a data set that is made
FRONT_AT_ONCE = 64  # recordings


class RecordingOptions(Section):
    """The `[data]` section: which recordings, and how they are heard."""

    path: str = Field(
        description="a table of recordings and transcripts, a folder with one, or spoken digits; see docs/formats.md"
    )
    audio_column: str = Field("audio", description="column of a table with the paths of recordings")
    transcript_column: str = Field("transcript", description="column of a table with what is said in them")
    speaker_column: str = Field("speaker", description="column of a table that says who speaks, if there is one")
    sample_rate: int = Field(16_000, ge=1, description="samples a second, to which every recording is brought")
    num_mels: int = Field(40, ge=1, description="bands of frequencies, of equal width on the mel scale")
    unit: Literal["character", "word"] = Field("character", description="what the symbols of a transcript are")
    shares: Shares = Field(
        (0.8, 0.1, 0.1),
        description="training, validation and test share where the files do not say; by a hash of the speaker",
    )
    by_speaker: bool = Field(True, description="where the files do not say: keep each speaker on one side of a split")
    connected: tuple[int, int, int] | None = Field(
        None,
        description="instead of single recordings: strings of `words` joined from one speaker, so many for training, "
        "validation and test",
    )
    words: tuple[int, int] = Field((2, 5), description="fewest and most recordings in such a string")
    on_short: Literal["fail", "drop"] = Field(
        "fail", description="at a recording too short for its transcript: stop, or leave it out"
    )

    @property
    def sounds(self) -> SoundOptions:
        """How recordings are read."""
        return SoundOptions(self.sample_rate, self.audio_column, self.transcript_column, self.speaker_column)


class Encoded(NamedTuple):
    """Recordings as the model hears them."""

    features: list[Features]
    targets: list[NDArray[np.int64]]  # symbols of each transcript

    @property
    def lengths(self) -> list[int]:
        """Frames of each."""
        return [len(features) for features in self.features]


class Batch(NamedTuple):
    """Some recordings."""

    features: Tensor  # (frames, batch, mels)
    lengths: Tensor  # frames of each, (batch,)
    targets: Tensor  # symbols of each transcript, (batch, longest)
    target_lengths: Tensor  # (batch,)

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(*(part.to(device) for part in self))


def find_recordings(options: RecordingOptions, seed: int, progress: Progress) -> dict[str, list[Utterance]]:
    """Recordings by split; strings joined of them where the recipe asks for these.

    Raises:
        DataError: they cannot be used; the message names the place.
    """
    if options.path == TOUCH_TONES and find(TOUCH_TONES) is None:
        return touch_tones(options.sample_rate)
    found = read_utterances(options.path, options.sounds, progress)
    splits = split_utterances(found, options.path, options.shares, by_speaker=options.by_speaker)
    return splits if options.connected is None else strings_of(splits, options, seed)


def strings_of(splits: dict[str, list[Utterance]], options: RecordingOptions, seed: int) -> dict[str, list[Utterance]]:
    """As many strings of joined recordings for each split as the recipe says."""
    counts = dict(zip(("train", "valid", "test"), options.connected or (), strict=False))
    return {
        split: connected(single, counts[split], options.sample_rate, seed, options.words)
        for split, single in splits.items()
    }


def hear(utterances: Sequence[Utterance], front: LogMel) -> list[Features]:
    """Log-mel features of recordings."""
    found: list[Features] = []
    for first in range(0, len(utterances), FRONT_AT_ONCE):
        several = utterances[first : first + FRONT_AT_ONCE]
        lengths = torch.tensor([len(one.samples) for one in several])
        samples = torch.zeros(int(lengths.max()), len(several))
        for column, one in enumerate(several):
            samples[: len(one.samples), column] = torch.from_numpy(one.samples)
        with torch.no_grad():
            features, frames = front(samples, lengths)
        found += [features[:length, column].numpy().copy() for column, length in enumerate(frames.tolist())]
    return found


def encode(utterances: Sequence[Utterance], front: LogMel, alphabet: Alphabet) -> Encoded:
    """Recordings as the model hears them.

    Raises:
        DataError: a transcript has a symbol that the alphabet lacks.
    """
    return Encoded(hear(utterances, front), [alphabet.encode(one.transcript, one.place) for one in utterances])


def long_enough(
    utterances: Sequence[Utterance], encoded: Encoded, reduction: int, on_short: str, progress: Progress
) -> tuple[list[Utterance], Encoded]:
    """Recordings with at least as many steps as their transcripts need.

    Args:
        utterances: any.
        encoded: the same as the model hears them.
        reduction: frames of a step.
        on_short: "fail" or "drop".
        progress: told how many are left out.

    Raises:
        DataError: one is too short, where these are not left out, or all are.
    """
    needed = [max(shortest(target.tolist()), 1) for target in encoded.targets]
    steps = [length // reduction for length in encoded.lengths]
    short = [at for at, (needs, has) in enumerate(zip(needed, steps, strict=True)) if needs > has]
    if not short:
        return list(utterances), encoded
    at = short[0]
    said = utterances[at].transcript
    told = f"{utterances[at].place}: {steps[at]} steps, but {said[:40]!r} needs {needed[at]}"
    if on_short == "fail" or len(short) == len(utterances):
        raise DataError(
            f"{told} ({len(short):,} such recordings); lower time_reduction, or leave them out with --on-short drop"
        )
    progress.note(f"{len(short):,} recordings are left out; {told}")
    kept = [at for at in range(len(utterances)) if at not in set(short)]
    features, targets = [encoded.features[at] for at in kept], [encoded.targets[at] for at in kept]
    return [utterances[at] for at in kept], Encoded(features, targets)


def collate(encoded: Encoded, indices: NDArray[np.integer]) -> Batch:
    """Some recordings side by side."""
    several = [encoded.features[index] for index in indices]
    lengths = torch.tensor([len(one) for one in several])
    features = torch.zeros(int(lengths.max()), len(several), several[0].shape[1])
    for column, one in enumerate(several):
        features[: len(one), column] = torch.from_numpy(one)
    targets, target_lengths = padded([encoded.targets[index] for index in indices], 0)
    return Batch(features, lengths, targets.t().contiguous(), target_lengths)


def check_recordings(splits: Mapping[str, Sequence[Utterance]], options: RecordingOptions) -> Json:
    """Counts, lengths, symbols and repetitions of recordings.

    Returns:
        splits (recordings, speakers, seconds), alphabet (symbols), problems (in words, each with the place of one).
    """
    rows: Json = {}
    for split, utterances in splits.items():
        seconds = [len(one.samples) / options.sample_rate for one in utterances]
        rows[split] = {"recordings": len(utterances), "speakers": len({one.speaker for one in utterances})}
        rows[split] |= {"seconds": round(sum(seconds)), "longest": round(max(seconds), 1)}
    symbols = set(Alphabet.of((one.transcript for one in splits["train"]), options.unit).symbols)
    trained = {one.samples.tobytes() for one in splits["train"]}
    problems = []
    for split in [split for split in splits if split != "train"]:
        leaked = [one for one in splits[split] if one.samples.tobytes() in trained]
        if leaked:
            problems.append(f"{len(leaked):,} recordings of {split} stand in train too, such as {leaked[0].place}")
        for one in splits[split]:
            lacking = sorted(set(Alphabet.of([one.transcript], options.unit).symbols) - symbols)
            if lacking:
                problems.append(f"{one.place}: training transcripts have no {', '.join(map(repr, lacking))}")
                break
    return {"splits": rows, "alphabet": {"symbols": {"kept": len(symbols)}}, "problems": problems}
