"""Recordings of speech with transcripts: sound files, tables of them, and files whose names tell the transcript."""

import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.config import Shares
from recurra.data.catalogue import layouts, locate
from recurra.data.layouts import SoundLayout
from recurra.data.media.listings import FileColumns, list_files
from recurra.data.splits import (
    SPLITS,
    complete_splits,
    data_files,
    divide_groups,
    find_files,
    refuse_partial_splits,
    split_by_hash,
    training_key,
)
from recurra.data.tables import KINDS as TABLES
from recurra.data.text.vocabulary import collapse_spaces
from recurra.errors import DataError, RecurraError, ShapeError, UsageError, counted
from recurra.progress import Progress

Samples = NDArray[np.float32]

SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3")
CUT_OFF = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)  # in libsndfile's log of a header
UNKNOWN_SIZE = 0x7FFFF000  # bytes; a header with more was written before the recording had ended


class Utterance(NamedTuple):
    """A recording and its transcript."""

    samples: Samples  # mono, -1 to 1, at the sample rate of the options, (samples,)
    transcript: str
    speaker: str | None
    place: str  # for messages
    digest: str  # SHA-256 of its file, or of what it was made of; the same on every machine


class SoundOptions(NamedTuple):
    """How recordings are read."""

    sample_rate: int = 16_000  # Hz, to which all are resampled
    audio_column: str = "audio"  # of a table: paths relative to it
    transcript_column: str = "transcript"
    speaker_column: str = "speaker"  # may be absent
    lowercase: bool = False  # transcripts


class ListedUtterance(NamedTuple):
    """An utterance whose sound file is still to be read."""

    file: Path
    transcript: str
    speaker: str | None
    place: str


def read_sound(path: Path, sample_rate: int) -> tuple[Samples, str | None]:
    """The samples of a sound file, mono and resampled.

    Args:
        path: any file that libsndfile reads, such as WAV, FLAC and OGG.
        sample_rate: Hz to resample to, at least 1.

    Returns:
        samples in -1..1, (samples,), slightly beyond after resampling or from a lossy file; and in words what was done
        to them, such as "resampled from 44,100 Hz", or None.

    Raises:
        DataError: a file that is missing, of unknown format, damaged or truncated (which cannot be detected in Ogg
            files), without samples, or with a sample that is not finite.
        RecurraError: soundfile is not installed.
    """
    samples, rate = decode_sound(path)  # (samples, channels)
    if not samples.size:
        raise DataError(f"{path}: holds no samples; record it again, or leave it out")
    if not np.isfinite(samples).all():
        at = int(np.argmin(np.isfinite(samples).all(1)))
        raise DataError(f"{path}: sample {at + 1:,} of {len(samples):,} is not finite; write it anew, or leave it out")
    done = []
    if samples.shape[1] > 1:
        done.append(f"{samples.shape[1]} channels averaged")
    mono = samples.mean(1)
    if rate != sample_rate:
        from scipy.signal import resample_poly  # takes half a second to import

        done.append(f"resampled from {rate:,} Hz")
        shared = math.gcd(rate, sample_rate)
        mono = resample_poly(mono, sample_rate // shared, rate // shared)
    return mono.astype(np.float32, copy=False), ", ".join(done) or None


def as_samples(recording: NDArray[Any], name: str) -> Samples:
    """Mono samples as floats from -1 to 1, (samples,); integers are divided by their full scale.

    Args:
        recording: (samples,).
        name: for messages.

    Raises:
        ShapeError: not one axis.
        UsageError: neither floats nor integers.
        DataError: a sample is not finite.
    """
    if recording.ndim != 1:
        raise ShapeError(f"{name}: expected mono samples (samples,), got {recording.shape}; average the channels first")
    kind = recording.dtype.kind
    if kind not in "iuf":
        raise UsageError(f"{name}: expected samples as floats or integers, got {recording.dtype}")
    if kind == "f":
        if not np.isfinite(recording).all():
            at = int(np.argmin(np.isfinite(recording)))
            raise DataError(f"{name}: sample {at + 1:,} of {len(recording):,} is not finite; leave it out")
        return np.array(recording, np.float32, order="C")  # torch takes no view that is read-only or runs backwards
    full_scale = 2.0 ** (8 * recording.itemsize - 1)
    silence = full_scale if kind == "u" else 0.0
    return ((recording - silence) / full_scale).astype(np.float32)


def decode_sound(path: Path) -> tuple[Samples, int]:
    """The samples of a sound file, (samples, channels), and their rate in Hz; errors as in `read_sound`."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without its wheel it needs libsndfile from the system
        install = "install it with: pip install 'recurra[sound]'"
        raise RecurraError(f"{path}: reading sound takes soundfile ({error}); {install}") from None
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with soundfile.SoundFile(path) as file:
            samples = file.read(dtype="float32", always_2d=True)
            declared, rate, log = file.frames, file.samplerate, file.extra_info
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        raise DataError(f"{path}: cannot be read as sound ({reason}); convert it to WAV, or leave it out") from None
    except TypeError:
        raise DataError(f"{path}: raw samples do not say their rate; convert it to WAV") from None
    if len(samples) < declared:
        raise truncated(path, len(samples), declared, "samples")
    sizes = CUT_OFF.search(log)  # of a truncated WAV file libsndfile reads the rest without an error
    if sizes and int(sizes[2]) < int(sizes[1]) < UNKNOWN_SIZE:
        raise truncated(path, int(sizes[2]), int(sizes[1]), "bytes")
    return samples, rate


def truncated(path: Path, found: int, declared: int, unit: str) -> DataError:
    """The error for a file that ends too early."""
    return DataError(f"{path}: cut off after {found:,} of {declared:,} {unit}; copy or download it again")


def read_utterances(path: str, options: SoundOptions, progress: Progress) -> dict[str, list[Utterance]]:
    """Utterances by the split that files or tables say, "all" where they say none.

    Args:
        path: a file, a folder or a data set: a table (CSV, TSV, JSONL, Parquet) of paths and transcripts; a folder of
            tables, which may be called train, valid and test; or a folder of sound files whose names tell transcript,
            speaker and split, see `SoundLayout`.
        options: how recordings are read.
        progress: gets a note on how many were resampled, or had their channels averaged.

    Raises:
        DataError: no such file, folder or data set, of another format, without a transcript, or a recording that cannot
            be read; the message names the line.
        UsageError: a sample rate below 1.
        RecurraError: soundfile is not installed.
    """
    if options.sample_rate < 1:
        raise UsageError(f"sample_rate: expected at least 1 Hz, got {options.sample_rate}")
    found = list_utterances(locate(path), options)
    done, total = Counter[str | None](), sum(map(len, found.values()))
    utterances: dict[str, list[Utterance]] = {split: [] for split in (*SPLITS, "all") if split in found}
    with progress.stage("reading recordings", total) as advance:
        for split, read in utterances.items():
            for listed in found[split]:
                utterance, change = read_listed(listed, options.sample_rate)
                read.append(utterance)
                done[change] += 1
                advance(1)
    for change in filter(None, done):
        progress.note(f"{path}: {done[change]:,} of {total:,} recordings {change}")
    return utterances


def read_listed(listed: ListedUtterance, sample_rate: int) -> tuple[Utterance, str | None]:
    """A listed utterance, and what was done to its samples in words; errors as in `read_sound`, with its place."""
    try:
        samples, change = read_sound(listed.file, sample_rate)
    except DataError as error:
        where = "" if listed.place == str(listed.file) else f"{listed.place}: "
        raise DataError(f"{where}{error}") from None
    with listed.file.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Utterance(samples, *listed[1:], digest), change


def split_utterances(
    found: dict[str, list[Utterance]], path: str, shares: Shares, progress: Progress, *, by_speaker: bool = True
) -> dict[str, list[Utterance]]:
    """Training, validation and maybe test utterances; split by a hash where files say no split.

    Args:
        found: result of `read_utterances`.
        path: where they are from, for messages.
        shares: of training, validation and test.
        progress: gets a note on how many speakers and recordings each split has.
        by_speaker: whether utterances of one speaker stay on one side. If not, or without speakers, each is split by
            the digest of its recording.

    Raises:
        DataError: a split without recordings, some recordings without a speaker, or fewer speakers than splits.
    """
    rest = found[training_key(found, path, "recordings")]
    if by_speaker and any(one.speaker for one in rest):
        divide = partial(split_by_speaker, path=path, progress=progress)
    else:
        divide = partial(split_by_hash, key_of=lambda one: one.digest)
    return complete_splits(found, divide, shares, path, "recordings")


def split_by_speaker(
    utterances: Sequence[Utterance], shares: dict[str, float], path: str, progress: Progress
) -> dict[str, list[Utterance]]:
    """Utterances by split, those of one speaker on one side; arguments and errors as of `split_utterances`."""
    one_by_one = "or split recordings one by one with --no-by-speaker"
    unnamed = [one.place for one in utterances if not one.speaker]
    if unnamed:
        such = counted(len(unnamed), "such recording")
        raise DataError(
            f"{unnamed[0]}: no speaker ({such}), but others have one; fill it, leave the row out, {one_by_one}"
        )
    digests = [hashlib.sha256(f"speaker {one.speaker}".encode()).hexdigest() for one in utterances]
    if len(set(digests)) < len(shares):
        fewer = f"fewer speakers ({len(set(digests))}) than splits ({', '.join(shares)})"
        raise DataError(f"{path}: {fewer}; give more, name the split of each recording in a column, {one_by_one}")
    splits = divide_groups(utterances, digests, shares)
    parts = [
        f"{split} {len({one.speaker for one in part}):,} with {len(part) / len(utterances):.0%} of the recordings"
        for split, part in splits.items()
    ]
    progress.note(f"{path}: speakers are split: {', '.join(parts)}")
    return splits


def list_utterances(place: Path, options: SoundOptions) -> dict[str, list[ListedUtterance]]:
    """Utterances that are still to be read, by split; errors as of `list_files` and `find_named`."""
    tables = [(split, file) for split, files in find_files(place, TABLES).items() for file in files]
    if not tables:
        return find_named(place)
    found: dict[str, list[ListedUtterance]] = {}
    purpose = "recordings and transcripts (--audio-column, --transcript-column)"
    columns = FileColumns(options.audio_column, options.transcript_column, purpose, (options.speaker_column,))
    for row in list_files(tables, place, columns):
        (speaker,), transcript = row.optional, normalize_transcript(row.text, options)
        listed = ListedUtterance(row.file, transcript, speaker and speaker.strip(), row.place)
        found.setdefault(row.split, []).append(listed)
    refuse_partial_splits(set(found), place, "recordings")
    return found


def normalize_transcript(transcript: str, options: SoundOptions) -> str:
    """A transcript as one line in Unicode's NFC, where a letter with its accents is one character."""
    return unicodedata.normalize("NFC", collapse_spaces(transcript.lower() if options.lowercase else transcript))


def find_named(folder: Path) -> dict[str, list[ListedUtterance]]:
    """Recordings by split, their names as a `SoundLayout` says; raises DataError without any, or for other names."""
    files = data_files(folder, SOUNDS) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder}: expected a table of recordings and transcripts, or a folder with tables or sounds")
    known = layouts(SoundLayout)
    layout = next((one for one in known if any(one.parse(file.stem) for file in files)), known[0])
    found: dict[str, list[ListedUtterance]] = {}
    for file in files:
        parsed = layout.parse(file.stem)
        if parsed is None:
            raise DataError(
                f"{file}: expected a name of {layout.described}{file.suffix}; or put a table of recordings and "
                "transcripts beside it"
            )
        word, speaker, split = parsed
        found.setdefault(split, []).append(ListedUtterance(file, word, speaker, str(file)))
    return found
