"""Recordings of speech with their transcripts: sound files, and tables of them."""

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
from recurra.data.media.listings import Columns, list_files
from recurra.data.splits import (
    SPLITS,
    complete_splits,
    data_files,
    find_files,
    refuse_partial_splits,
    split_by_hash,
    split_groups,
    training_key,
)
from recurra.data.tables import KINDS as TABLES
from recurra.data.text.vocabulary import as_line
from recurra.errors import DataError, RecurraError, ShapeError, UsageError, counted
from recurra.progress import Progress

Samples = NDArray[np.float32]

SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3")
CUT_OFF = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)  # in libsndfile's log of a header
UNKNOWN_SIZE = 0x7FFFF000  # bytes; from here on a header was written before anybody knew how much would come


class Utterance(NamedTuple):
    """A recording and what is said in it."""

    samples: Samples  # mono, -1 to 1, at the rate asked for, (samples,)
    transcript: str
    speaker: str | None
    place: str  # for messages
    digest: str  # SHA-256 of its file, or of what it was made of: the same on every machine


class SoundOptions(NamedTuple):
    """How recordings are read."""

    sample_rate: int = 16_000  # Hz; all are brought to it
    audio_column: str = "audio"  # of a table: paths, from where the table lies
    transcript_column: str = "transcript"
    speaker_column: str = "speaker"  # may be absent
    lowercase: bool = False  # transcripts


class Entry(NamedTuple):
    """A recording that is still to be read."""

    file: Path
    transcript: str
    speaker: str | None
    place: str


def read_sound(path: Path, sample_rate: int) -> tuple[Samples, str | None]:
    """A recording.

    Args:
        path: any file that libsndfile reads, such as WAV, FLAC and OGG.
        sample_rate: Hz that it is brought to, 1 up.

    Returns:
        mono samples in -1..1, (samples,), where a lossy file or another rate may overshoot a little; and in words what
        was done to them, such as "resampled from 44,100 Hz", None for nothing.

    Raises:
        DataError: missing, of no known kind, damaged or cut off (which a lossy Ogg file does not tell), without
            samples, or with one that is not finite.
        RecurraError: soundfile is not installed.
    """
    samples, rate = decode(path)  # (samples, channels)
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
        from scipy.signal import resample_poly  # half a second that only other rates need

        done.append(f"resampled from {rate:,} Hz")
        shared = math.gcd(rate, sample_rate)
        mono = resample_poly(mono, sample_rate // shared, rate // shared)
    return mono.astype(np.float32, copy=False), ", ".join(done) or None


def as_samples(recording: NDArray[Any], name: str) -> Samples:
    """Mono samples as numbers from -1 to 1, (samples,): integers are divided by their full scale.

    Args:
        recording: (samples,).
        name: for messages.

    Raises:
        ShapeError: it has not one axis.
        UsageError: it holds no real numbers.
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


def decode(path: Path) -> tuple[Samples, int]:
    """The samples of a sound file, (samples, channels), and their rate in Hz; errors as in `read_sound`."""
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: without its wheel it needs libsndfile of the system
        raise RecurraError(
            f"{path}: reading sound takes soundfile ({error}); install it with: pip install 'recurra[sound]'"
        ) from None
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
        raise cut_off(path, len(samples), declared, "samples")
    sizes = CUT_OFF.search(log)  # of a WAV file libsndfile reads what is there
    if sizes and int(sizes[2]) < int(sizes[1]) < UNKNOWN_SIZE:
        raise cut_off(path, int(sizes[2]), int(sizes[1]), "bytes")
    return samples, rate


def cut_off(path: Path, found: int, declared: int, unit: str) -> DataError:
    """What to raise for a file that ends before it should."""
    return DataError(f"{path}: cut off after {found:,} of {declared:,} {unit}; copy or download it again")


def read_utterances(path: str, options: SoundOptions, progress: Progress) -> dict[str, list[Utterance]]:
    """Recordings with transcripts under the split that files or tables say, "all" where they say none.

    Args:
        path: a file, a folder or a data set: a table (CSV, TSV, JSONL, Parquet) of paths and transcripts; a folder of
            such, which may be called train, valid and test; or a folder of files named as in the Free Spoken Digit
            Dataset, `7_jackson_32.wav` for digit, speaker and index: 0 to 4 are the test, 5 to 9 validation.
        options: how.
        progress: told how many were resampled, or had their channels averaged.

    Raises:
        DataError: nothing there, nothing that can be read so, no transcript, or a recording that cannot be read; the
            message names the line.
        UsageError: a sample rate below 1.
        RecurraError: soundfile is not installed.
    """
    if options.sample_rate < 1:
        raise UsageError(f"sample_rate: expected at least 1 Hz, got {options.sample_rate}")
    found = find_entries(locate(path), options)
    done, total = Counter[str](), sum(map(len, found.values()))
    utterances: dict[str, list[Utterance]] = {split: [] for split in (*SPLITS, "all") if split in found}
    with progress.stage("reading recordings", total) as advance:
        for split, read in utterances.items():
            for entry in found[split]:
                samples, change = read_entry(entry, options.sample_rate)
                with entry.file.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                read.append(Utterance(samples, *entry[1:], digest))
                done.update([change] if change else [])
                advance(1)
    for change, number in done.items():
        progress.note(f"{path}: {number:,} of {total:,} recordings {change}")
    return utterances


def read_entry(entry: Entry, sample_rate: int) -> tuple[Samples, str | None]:
    """Its recording, as `read_sound` gives it."""
    try:
        return read_sound(entry.file, sample_rate)
    except DataError as error:
        where = "" if entry.place == str(entry.file) else f"{entry.place}: "
        raise DataError(f"{where}{error}") from None


def split_utterances(
    found: dict[str, list[Utterance]], path: str, shares: Shares, progress: Progress, *, by_speaker: bool = True
) -> dict[str, list[Utterance]]:
    """Training, validation and maybe test recordings; by a hash what the files do not say.

    Args:
        found: what `read_utterances` found.
        path: where, for messages.
        shares: of training, validation and test.
        progress: told how many speakers and recordings each split gets.
        by_speaker: whether those of one speaker stay on one side; else, and where they have none, each goes by itself.

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
    """Recordings by split, those of one speaker on one side; arguments and errors as of `split_utterances`."""
    unnamed = [one.place for one in utterances if not one.speaker]
    if unnamed:
        raise DataError(
            f"{unnamed[0]}: no speaker ({counted(len(unnamed), 'such recording')}), but others have one; "
            "fill it, leave the row out, or split recordings one by one with --no-by-speaker"
        )
    digests = [hashlib.sha256(f"speaker {one.speaker}".encode()).hexdigest() for one in utterances]
    if len(set(digests)) < len(shares):
        raise DataError(
            f"{path}: fewer speakers ({len(set(digests))}) than splits ({', '.join(shares)}); give more, name the "
            "split of each recording in a column, or split recordings one by one with --no-by-speaker"
        )
    split_of_group = split_groups(digests, shares)
    splits: dict[str, list[Utterance]] = {split: [] for split in shares}
    for one, digest in zip(utterances, digests, strict=True):
        splits[split_of_group[digest]].append(one)
    parts = [
        f"{split} {len({one.speaker for one in part}):,} with {len(part) / len(utterances):.0%} of the recordings"
        for split, part in splits.items()
    ]
    progress.note(f"{path}: speakers are split: {', '.join(parts)}")
    return splits


def find_entries(place: Path, options: SoundOptions) -> dict[str, list[Entry]]:
    """What there is to read, by split."""
    tables = [(split, file) for split, files in find_files(place, TABLES).items() for file in files]
    if not tables:
        return find_named(place)
    found: dict[str, list[Entry]] = {}
    purpose = "recordings and transcripts (--audio-column, --transcript-column)"
    columns = Columns(options.audio_column, options.transcript_column, purpose, (options.speaker_column,))
    for row in list_files(tables, place, columns):
        (speaker,) = row.optional
        entry = Entry(row.file, written(row.text, options), speaker and speaker.strip(), row.place)
        found.setdefault(row.split, []).append(entry)
    refuse_partial_splits(set(found), place, "recordings")
    return found


def written(transcript: str, options: SoundOptions) -> str:
    """A transcript as it is learned: one line, each letter and its accents one character (Unicode's NFC)."""
    return unicodedata.normalize("NFC", as_line(transcript.lower() if options.lowercase else transcript))


def find_named(folder: Path) -> dict[str, list[Entry]]:
    """Recordings whose names tell transcript and speaker, by split; see `SoundLayout`.

    Raises:
        DataError: no sound files, or a name of another layout than the others.
    """
    files = data_files(folder, SOUNDS) if folder.is_dir() else []
    if not files:
        raise DataError(f"{folder}: expected a table of recordings and transcripts, or a folder with tables or sounds")
    known = layouts(SoundLayout)
    layout = next((one for one in known if any(one.parse(file.stem) for file in files)), known[0])
    found: dict[str, list[Entry]] = {}
    for file in files:
        parsed = layout.parse(file.stem)
        if parsed is None:
            raise DataError(
                f"{file}: expected a name of {layout.described}{file.suffix}; or put a table of recordings and "
                "transcripts beside it"
            )
        word, speaker, split = parsed
        found.setdefault(split, []).append(Entry(file, word, speaker, str(file)))
    return found
