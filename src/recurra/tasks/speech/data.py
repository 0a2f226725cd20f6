"""Recordings with transcripts as log-mel features and symbols."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from torch import Tensor

from recurra.config import Section, Shares
from recurra.data.batches import pad
from recurra.data.builtin.connected_digits import join_utterances
from recurra.data.builtin.touch_tones import touch_tones
from recurra.data.catalogue import find
from recurra.data.media.sound import Samples, SoundOptions, Utterance, read_utterances, split_utterances
from recurra.data.splits import SPLITS, held_out_splits
from recurra.data.text.alphabet import Alphabet, Unit, symbols_of
from recurra.decoding.ctc import min_frames
from recurra.errors import DataError, UsageError
from recurra.nn.spectrogram import LogMel
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.task import ReadFile

Features = NDArray[np.float32]  # log-mel of a recording, (frames, mels)

ALPHABET, TRANSCRIPTS = "alphabet.json", "transcripts.json"
MAX_TRANSCRIPTS = 50_000  # different training transcripts that the language model is counted from
TOUCH_TONES = "touch-tones"  # name of a generated data set
NOT_FOR_TOUCH_TONES = ("connected", "connected_words", "shares", "by_speaker")  # options without a meaning for it
EVALUATION_BATCH = 64  # recordings
THIRDS = 3  # parts of a recording, whose mean features the nearest neighbor is searched by
MAX_BATCH_SAMPLES = 1 << 22  # samples with padding, for which features are computed at once
MAX_SHOWN = 40  # characters of a transcript, or symbols, in a message
NO_TARGETS = np.zeros(0, np.int64)  # symbols of a transcript that counts in no loss

Count: TypeAlias = Annotated[int, Field(ge=1)]


def check_order(ends: tuple[int, int]) -> tuple[int, int]:
    """Refuse a range whose ends are swapped."""
    if ends[0] > ends[1]:
        raise ValueError("fewest and most, in this order")
    return ends


class RecordingOptions(Section):
    """The `[data]` section: the recordings, their features and symbols."""

    path: str = Field(
        description="a table of recordings and transcripts, a folder with one, or spoken digits; see docs/formats.md"
    )
    audio_column: str = Field("audio", description="column of a table with the paths of recordings")
    transcript_column: str = Field("transcript", description="column of a table with their transcripts")
    speaker_column: str = Field("speaker", description="column of a table with their speakers, if there is one")
    sample_rate: int = Field(16_000, ge=1, description="Hz to which all recordings are resampled")
    num_mels: int = Field(40, ge=1, description="bands of frequencies, of equal width on the mel scale")
    unit: Unit = Field("character", description="symbol of a transcript")
    lowercase: bool = Field(False, description="fold transcripts to lower case")
    shares: Shares = Field(
        (0.8, 0.1, 0.1),
        description="training, validation and test share where the files do not say; by a hash of the speaker",
    )
    by_speaker: bool = Field(True, description="where the files do not say: keep each speaker on one side of a split")
    connected: tuple[Count, Count, Count] | None = Field(
        None,
        description="instead of single recordings: this many strings for training, validation and test, each of "
        "`connected_words` recordings of one speaker",
    )
    connected_words: Annotated[tuple[Count, Count], AfterValidator(check_order)] = Field(
        (2, 5), description="fewest and most recordings in such a string"
    )
    on_short: Literal["fail", "drop"] = Field(
        "fail", description="at a training recording too short for its transcript: stop, or leave it out"
    )

    @property
    def sounds(self) -> SoundOptions:
        """The options that reading sound files takes."""
        columns = self.audio_column, self.transcript_column, self.speaker_column
        return SoundOptions(self.sample_rate, *columns, lowercase=self.lowercase)


class Encoded(NamedTuple):
    """Recordings as the model reads them."""

    features: list[Features]
    targets: list[NDArray[np.int64]]  # symbols of each transcript, none where it counts in no loss
    uncounted: Sequence[str] = ()  # why, for each such transcript
    digest: str = ""  # SHA-256 of samples and transcripts, which do not depend on the machine as features do

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
    """Recordings by split, or with `connected` strings of them.

    Raises:
        DataError: they cannot be used; the message names the place.
        UsageError: an option without a meaning for touch-tones.
    """
    if is_touch_tones(options.path):
        fields = RecordingOptions.model_fields
        useless = [name for name in NOT_FOR_TOUCH_TONES if getattr(options, name) != fields[name].default]
        if useless:
            raise UsageError(f"{TOUCH_TONES}: generated without these options; leave out {', '.join(useless)}")
        return touch_tones(options.sample_rate)
    found = read_utterances(options.path, options.sounds, progress)
    splits = split_utterances(found, options.path, options.shares, progress, by_speaker=options.by_speaker)
    return splits if options.connected is None else connect_recordings(splits, options, seed)


def find_other_recordings(options: RecordingOptions, seed: int, progress: Progress) -> dict[str, list[Utterance]]:
    """Recordings to evaluate on: all splits except the training split, or "all" where there are no splits.

    Raises:
        DataError: they cannot be used; the message names the place.
    """
    if is_touch_tones(options.path):
        return held_out_splits(touch_tones(options.sample_rate))
    found = read_utterances(options.path, options.sounds, progress)
    found = held_out_splits(found) or found
    return found if options.connected is None else connect_recordings(found, options, seed)


def is_touch_tones(path: str) -> bool:
    """Whether a path means the generated data set, since there is no file or folder of that name."""
    return path == TOUCH_TONES and find(TOUCH_TONES) is None


def connect_recordings(
    splits: dict[str, list[Utterance]], options: RecordingOptions, seed: int
) -> dict[str, list[Utterance]]:
    """Strings of recordings of one speaker, `connected` of them; each split has random draws of its own.

    Recordings without splits ("all") give the strings that a test split of them would give.
    """
    counts = dict(zip(SPLITS, options.connected or (), strict=False))
    found = {}
    for split, single in splits.items():
        part = split if split in counts else "test"
        found[split] = join_utterances(
            single, counts[part], options.sample_rate, f"{part} {seed}", options.connected_words
        )
    return found


def log_mel_features(recordings: Sequence[Samples], log_mel: LogMel) -> list[Features]:
    """Log-mel features of recordings, computed in batches of similar lengths and bounded size."""
    order = np.argsort([len(samples) for samples in recordings], kind="stable").tolist()
    found: list[Features] = [np.zeros((0, log_mel.num_mels), np.float32)] * len(order)
    while order:
        at_once = max(MAX_BATCH_SAMPLES // max(len(recordings[order[-1]]), 1), 1)
        indices, order = order[-at_once:], order[:-at_once]
        lengths = torch.tensor([len(recordings[index]) for index in indices])
        samples = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(recordings[index]) for index in indices])
        with torch.no_grad():
            features, frames = log_mel(samples, lengths)
        for column, (index, length) in enumerate(zip(indices, frames.tolist(), strict=True)):
            found[index] = features[:length, column].numpy().copy()
    return found


def encode(utterances: Sequence[Utterance], log_mel: LogMel, alphabet: Alphabet, reduction: int) -> Encoded:
    """Recordings as the model reads them.

    Args:
        utterances: any; a transcript that the model cannot produce counts in no loss.
        log_mel: computes the features.
        alphabet: symbols of the model.
        reduction: frames of a step.
    """
    reasons = uncounted_reasons(utterances, log_mel, alphabet, reduction)
    targets = [
        NO_TARGETS if reason else alphabet.encode(one.transcript, one.place)
        for one, reason in zip(utterances, reasons, strict=True)
    ]
    rows = "\n".join(f"{one.digest} {one.transcript}" for one in utterances)
    digest = hashlib.sha256(rows.encode()).hexdigest()
    features = log_mel_features([one.samples for one in utterances], log_mel)
    return Encoded(features, targets, [reason for reason in reasons if reason], digest)


def uncounted_reasons(
    utterances: Sequence[Utterance], log_mel: LogMel, alphabet: Alphabet, reduction: int
) -> list[str | None]:
    """Why the model cannot produce a transcript, so that it counts in no loss; None where it can.

    Args:
        utterances: any.
        log_mel: makes the frames.
        alphabet: symbols of the model.
        reduction: frames of a step.
    """
    found = reasons_too_short(utterances, log_mel, reduction, alphabet.unit)
    for index, one in enumerate(utterances):
        unknown = unknown_symbols(one, alphabet)
        if unknown:
            found[index] = f"{one.place}: training transcripts have no {list_symbols(unknown)}"
    return found


def note_uncounted(reasons: Sequence[str], progress: Progress) -> None:
    """Note how many recordings of a split count in no loss, and why the first does not."""
    if reasons:
        progress.note(f"{len(reasons):,} recordings are scored but count in no loss, such as {reasons[0]}")


def unknown_symbols(utterance: Utterance, alphabet: Alphabet) -> set[str]:
    """Symbols of a transcript that an alphabet lacks."""
    return set(symbols_of(utterance.transcript, alphabet.unit)) - alphabet.ids.keys()


def list_symbols(symbols: Iterable[str]) -> str:
    """Symbols for a message, at most MAX_SHOWN and the number of the others."""
    names = [repr(symbol) for symbol in sorted(symbols)]
    more = len(names) - MAX_SHOWN
    return ", ".join(names[:MAX_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def reasons_too_short(utterances: Sequence[Utterance], log_mel: LogMel, reduction: int, unit: Unit) -> list[str | None]:
    """A sentence for each recording with fewer steps than its transcript needs; None for the others.

    Args:
        utterances: any.
        log_mel: makes the frames.
        reduction: frames of a step.
        unit: symbols of transcripts.
    """
    frames = log_mel.frames_in(torch.tensor([len(one.samples) for one in utterances])).tolist()
    found: list[str | None] = []
    for one, steps in zip(utterances, (number // reduction for number in frames), strict=True):
        needed = max(min_frames(symbols_of(one.transcript, unit)), 1)
        reason = f"{one.place}: {steps} steps, but {one.transcript[:MAX_SHOWN]!r} needs {needed}"
        found.append(reason if steps < needed else None)
    return found


def drop_short(
    utterances: Sequence[Utterance], options: RecordingOptions, log_mel: LogMel, reduction: int, progress: Progress
) -> list[Utterance]:
    """Training recordings with at least as many steps as their transcripts need.

    Args:
        utterances: any.
        options: `on_short` says whether the others are left out.
        log_mel: makes the frames.
        reduction: frames of a step.
        progress: receives a note on how many are left out.

    Raises:
        DataError: one is too short, where these are not left out, or all are.
    """
    found = reasons_too_short(utterances, log_mel, reduction, options.unit)
    short = [reason for reason in found if reason]
    if short and (options.on_short == "fail" or len(short) == len(utterances)):
        raise DataError(
            f"{short[0]} ({len(short):,} such recordings); lower time_reduction, or leave them out with --on-short drop"
        )
    if short:
        progress.note(f"{len(short):,} training recordings are left out: {short[0]}")
    return [one for one, reason in zip(utterances, found, strict=True) if not reason]


def collate(encoded: Encoded, indices: NDArray[np.integer]) -> Batch:
    """A batch of recordings, the shorter ones padded with 0."""
    recordings = [encoded.features[index] for index in indices]
    lengths = torch.tensor([len(one) for one in recordings])
    features = torch.zeros(int(lengths.max()), len(recordings), recordings[0].shape[1])
    for column, one in enumerate(recordings):
        features[: len(one), column] = torch.from_numpy(one)
    targets, target_lengths = pad([encoded.targets[index] for index in indices], 0)
    return Batch(features, lengths, targets.t().contiguous(), target_lengths)


def pad_log_probabilities(log_probabilities: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Log-probabilities (steps, symbols) of recordings in batches (steps, batch, symbols), with their lengths."""
    found = []
    for first in range(0, len(log_probabilities), EVALUATION_BATCH):
        several = list(log_probabilities[first : first + EVALUATION_BATCH])
        lengths = torch.tensor([len(one) for one in several])
        found.append((torch.nn.utils.rnn.pad_sequence(several), lengths))
    return found


def mean_features(features: Sequence[Features]) -> NDArray[np.float32]:
    """Mean features of each third of a recording, (recordings, 3 * mels); zeros for one without frames."""
    filled = [one if len(one) else np.zeros((1, one.shape[1]), np.float32) for one in features]
    parts = [np.array_split(one, THIRDS) if len(one) >= THIRDS else [one] * THIRDS for one in filled]
    return np.stack([np.concatenate([part.mean(0) for part in each]) for each in parts])


class SpeechPreprocessor(NamedTuple):
    """What a recognizer learns from its training recordings before training.

    Args:
        alphabet: symbols of the transcripts.
        max_length: frames of the longest recording.
        transcripts: each transcript with the number of its recordings, for the language model of symbols.
    """

    alphabet: Alphabet
    max_length: int
    transcripts: dict[str, int]

    @classmethod
    def fit(cls, train: Sequence[Utterance], options: RecordingOptions, log_mel: LogMel) -> "SpeechPreprocessor":
        """That of training recordings; `log_mel` makes the frames."""
        alphabet = Alphabet.of((one.transcript for one in train), options.unit)
        max_length = max(int(log_mel.frames_in(torch.tensor(len(one.samples)))) for one in train)
        counts = Counter(one.transcript for one in train).most_common(MAX_TRANSCRIPTS)
        return cls(alphabet, max_length, dict(counts))

    def values(self) -> Json:
        """Frames of the longest recording."""
        return {"max_length": self.max_length}

    def files(self) -> Mapping[str, str]:
        """Alphabet and transcripts."""
        transcripts = json.dumps(self.transcripts, ensure_ascii=False, indent=0)
        return {ALPHABET: self.alphabet.dump(), TRANSCRIPTS: transcripts}

    @classmethod
    def load(cls, values: Json, read: ReadFile, recipe: Section) -> "SpeechPreprocessor":  # noqa: ARG003
        """Undo `values` and `files`."""
        return cls(Alphabet.parse(read(ALPHABET)), values["max_length"], json.loads(read(TRANSCRIPTS)))
