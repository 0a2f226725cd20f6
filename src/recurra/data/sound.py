"""Recordings of speech with their transcripts: sound files, tables of them, and spoken digits joined to strings."""

import hashlib
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.config import Shares
from recurra.data.catalogue import locate
from recurra.data.digits import WORDS
from recurra.data.splits import SPLITS, completed, files_by_split
from recurra.data.tables import Table, is_table, read_table
from recurra.data.text import SPLIT_NAMES, folder_files
from recurra.errors import DataError, RecurraError, UsageError
from recurra.progress import Progress

Samples = NDArray[np.float32]

SOUNDS = (".wav", ".flac", ".ogg", ".opus", ".mp3")
NUM_TEST, NUM_VALID = 5, 5  # recordings of each digit by each speaker: the first are the test, then validation
CUT_OFF = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)  # in libsndfile's log of a header
UNKNOWN_SIZE = 0x7FFFF000  # bytes; from here on a header was written before anybody knew how much would come
LONGEST_PAUSE = 0.3  # seconds
STRETCH = 0.01  # seconds over which loudness is measured


class Utterance(NamedTuple):
    """A recording and what is said in it."""

    samples: Samples  # mono, -1 to 1, at the rate asked for, (samples,)
    transcript: str
    speaker: str | None
    place: str  # for messages


class SoundOptions(NamedTuple):
    """How recordings are read."""

    sample_rate: int = 16_000  # Hz; all are brought to it
    audio_column: str = "audio"  # of a table: paths, from where the table lies
    transcript_column: str = "transcript"
    speaker_column: str = "speaker"  # may be absent
    split_column: str = "split"  # may be absent


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
    if "all" in found and len(found) > 1:
        raise DataError(
            f"{path}: some tables have a column {options.split_column!r}, others none; give all of them one"
        )
    done, total = Counter[str](), sum(map(len, found.values()))
    utterances: dict[str, list[Utterance]] = {split: [] for split in (*SPLITS, "all") if split in found}
    with progress.stage("reading recordings", total) as advance:
        for split, read in utterances.items():
            for entry in found[split]:
                samples, change = read_entry(entry, options.sample_rate)
                read.append(Utterance(samples, *entry[1:]))
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
    found: dict[str, list[Utterance]], path: str, shares: Shares, *, by_speaker: bool = True
) -> dict[str, list[Utterance]]:
    """Training, validation and maybe test recordings; by a hash what the files do not say.

    Args:
        found: what `read_utterances` found.
        path: where, for messages.
        shares: of training, validation and test.
        by_speaker: whether those of one speaker stay on one side; else, and where they have none, each goes by itself.

    Raises:
        DataError: a split without recordings.
    """
    if not found.keys() & {"train", "all"}:
        raise DataError(f"{path}: no recordings for train; it has {', '.join(found)}")

    def key_of(one: Utterance) -> str:
        is_told = by_speaker and one.speaker is not None
        return f"speaker {one.speaker}" if is_told else hashlib.sha256(one.samples.tobytes()).hexdigest()

    are_told = by_speaker and any(one.speaker is not None for part in found.values() for one in part)
    return completed(found, key_of, shares, path, "speakers" if are_told else "recordings")


def find_entries(place: Path, options: SoundOptions) -> dict[str, list[Entry]]:
    """What there is to read, by split."""
    files = {"all": [place]} if place.is_file() else files_by_split(place)
    tables = {split: [file for file in part if is_table(file)] for split, part in files.items()}
    if not any(tables.values()):
        return find_digits(place)
    if tables.get("train"):
        tables.pop("all", None)
    else:
        tables = {"all": [file for part in tables.values() for file in part]}
    found: dict[str, list[Entry]] = {}
    for split, part in tables.items():
        for file in part:
            for said, entry in rows_of(read_table(file), options):
                found.setdefault(said or split, []).append(entry)
    return found


def rows_of(table: Table, options: SoundOptions) -> Iterator[tuple[str | None, Entry]]:
    """The split that each row of a table says, None where it has no such column, and what it names."""
    needed = [options.audio_column, options.transcript_column]
    table.require(needed, "recordings and transcripts (audio_column, transcript_column)")
    optional = [options.speaker_column, options.split_column]
    columns = [table.text(name) if name in table.names else [None] * len(table) for name in (*needed, *optional)]
    has_splits = options.split_column in table.names
    for audio, transcript, speaker, split, place in zip(*columns, table.places(), strict=True):
        for cell, name in zip((audio, transcript), needed, strict=True):
            if cell is None:
                raise DataError(f"{place}: no {name}; fill it, or leave the row out")
        file = table.path.parent / str(audio).strip()
        entry = Entry(file, str(transcript).strip(), speaker and speaker.strip(), place)
        yield split_named(split, place) if has_splits else None, entry


def split_named(cell: str | None, place: str) -> str:
    """The split that a cell means.

    Raises:
        DataError: none.
    """
    wanted = (cell or "").strip().lower()
    for split, names in SPLIT_NAMES.items():
        if wanted in names:
            return split
    raise DataError(f"{place}: expected train, valid (or val, dev) or test as split, got {cell or ''!r}")


def find_digits(place: Path) -> dict[str, list[Entry]]:
    """Recordings of spoken digits, by split."""
    files = [file for file in folder_files(place) if file.suffix.lower() in SOUNDS] if place.is_dir() else []
    if not files:
        raise DataError(f"{place}: expected a table of recordings and transcripts, or a folder with tables or sounds")
    found: dict[str, list[Entry]] = {}
    for file in files:
        match = re.fullmatch(r"([0-9])_([^_]+)_([0-9]+)", file.stem)
        if not match:
            raise DataError(
                f"{file}: expected a name of digit, speaker and index, such as 7_jackson_32{file.suffix}; or put a "
                "table of recordings and transcripts beside it"
            )
        digit, speaker, index = int(match[1]), match[2], int(match[3])
        split = "test" if index < NUM_TEST else "valid" if index < NUM_TEST + NUM_VALID else "train"
        found.setdefault(split, []).append(Entry(file, WORDS[digit], speaker, str(file)))
    return found


def connected(
    utterances: Sequence[Utterance], count: int, sample_rate: int, seed: int, lengths: tuple[int, int] = (2, 5)
) -> list[Utterance]:
    """Strings of words, each joined from recordings of one speaker, with pauses between them.

    The speaker, how many recordings, which ones, and the length of each pause are uniform; a recording may come several
    times. A pause is noise, at the most as loud as the quietest 10 ms of the recording before it.

    Args:
        utterances: recordings of words, each with its speaker.
        count: strings to make.
        sample_rate: of the recordings, Hz.
        seed: the same strings for the same one; a smaller `count` gives the first of them.
        lengths: fewest and most recordings in a string.

    Raises:
        DataError: a recording without a speaker, or none at all.
        UsageError: lengths that are no range from 1 up.
    """
    if not 1 <= lengths[0] <= lengths[1]:
        raise UsageError(f"connected lengths: expected fewest and most, 1 up, got {lengths}")
    if not utterances:
        raise DataError("connected: no recordings to join")
    by_speaker: dict[str, list[Utterance]] = {}
    for one in utterances:
        if one.speaker is None:
            raise DataError(f"{one.place}: no speaker; only recordings of one speaker can be joined")
        by_speaker.setdefault(one.speaker, []).append(one)
    speakers, number = sorted(by_speaker), random.Random(seed).random  # of it alone Python promises the same for ever
    strings = []
    for _ in range(count):
        own = by_speaker[speakers[int(number() * len(speakers))]]
        size = lengths[0] + int(number() * (lengths[1] - lengths[0] + 1))
        strings.append(joined([own[int(number() * len(own))] for _ in range(size)], sample_rate, number))
    return strings


def joined(clips: Sequence[Utterance], sample_rate: int, number: Callable[[], float]) -> Utterance:
    """Recordings of one speaker as one, with pauses; `number` draws from 0 to 1."""
    pieces = [clips[0].samples]
    for before, after in pairwise(clips):
        loudness = number() * quietest(before.samples, round(STRETCH * sample_rate))
        noise = [2 * number() - 1 for _ in range(int(number() * LONGEST_PAUSE * sample_rate))]
        pieces += [np.array(noise, np.float32) * np.float32(loudness * math.sqrt(3)), after.samples]
    transcript, place = " ".join(clip.transcript for clip in clips), " + ".join(clip.place for clip in clips)
    return Utterance(np.concatenate(pieces), transcript, clips[0].speaker, place)


def quietest(samples: Samples, stretch: int) -> float:
    """Root mean square of the quietest stretch of so many samples."""
    size = min(stretch, len(samples))
    means = np.square(samples[: len(samples) // size * size].reshape(-1, size)).mean(1)
    return math.sqrt(float(means.min()))
