"""Sound files: the samples that were written come back, what is damaged is named; tables, digits."""

import hashlib
import json
import math
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from numpy.typing import NDArray

from noting import Notes
from recurra.data.catalogue import find
from recurra.data.media.sound import SoundOptions, read_sound, read_utterances
from recurra.errors import DataError, RecurraError, UsageError
from recurra.progress import Progress

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")

RATE = 8000
SILENT = Progress()


def noise(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, shape).astype(np.float32)


def write(path: Path, samples: NDArray[np.float32], rate: int = RATE, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


# --- one file ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "subtype", "error"),
    [("a.wav", "FLOAT", 0), ("a.wav", "PCM_16", 2**-15), ("a.wav", "PCM_24", 2**-23), ("a.FLAC", "PCM_16", 2**-15)],
)
def test_samples_come_back(name: str, subtype: str, error: float, tmp_path: Path) -> None:
    written = noise(0, 1234)
    samples, done = read_sound(write(tmp_path / name, written, subtype=subtype), RATE)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, written, rtol=0, atol=error)
    assert done is None


def test_a_lossy_file_is_read_whole(tmp_path: Path) -> None:
    written = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4000) / RATE).astype(np.float32)
    samples, _ = read_sound(write(tmp_path / "a.ogg", written), RATE)
    assert len(samples) == 4000
    np.testing.assert_allclose(samples[500:3500], written[500:3500], rtol=0, atol=0.05)  # that is what lossy means


def test_channels_are_averaged(tmp_path: Path) -> None:
    written = noise(1, 700, 3)
    samples, done = read_sound(write(tmp_path / "a.wav", written, subtype="FLOAT"), RATE)
    np.testing.assert_allclose(samples, written.mean(1), rtol=0, atol=1e-7)
    assert done == "3 channels averaged"


@pytest.mark.parametrize("rate", [44_100, 16_000, 6_000])
def test_another_rate_is_resampled(rate: int, tmp_path: Path) -> None:
    """A tone keeps its pitch, its loudness and its phase; one above half the new rate goes."""
    low, high = (np.sin(2 * np.pi * pitch * np.arange(rate) / rate) for pitch in (700, 7000))
    stereo = np.stack([low, low + (high if rate > 14_000 else 0)], 1).astype(np.float32) * 0.5
    samples, done = read_sound(write(tmp_path / "a.wav", stereo, rate, "FLOAT"), RATE)
    assert samples.dtype == np.float32
    assert samples.shape == (RATE,)
    expected = 0.5 * np.sin(2 * np.pi * 700 * np.arange(RATE) / RATE)
    inner = slice(200, -200)  # at both ends there is nothing beyond to resample from
    np.testing.assert_allclose(samples[inner], expected[inner], atol=2e-3)  # what the filter lets through
    assert done == f"2 channels averaged, resampled from {rate:,} Hz"


def test_silence_is_sound(tmp_path: Path) -> None:
    samples, done = read_sound(write(tmp_path / "a.wav", np.zeros(50, np.float32)), RATE)
    assert samples.tolist() == [0] * 50
    assert done is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.wav", b"", "cannot be read as sound (Format not recognised); convert it to WAV, or leave it out"),
        ("a.flac", b"fLaC", "cannot be read as sound ("),
        ("a.wav", b"no sound at all" * 90, "cannot be read as sound (Format not recognised)"),
        ("a.raw", b"\0" * 90, "raw samples do not say their rate; convert it to WAV"),
    ],
)
def test_what_is_no_sound(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{path}: {message}")):
        read_sound(path, RATE)


def test_what_is_not_there_or_has_nothing_in_it(tmp_path: Path) -> None:
    for path in (tmp_path / "a.wav", tmp_path):
        with pytest.raises(DataError, match=f"{path}: no such file"):
            read_sound(path, RATE)
    path = write(tmp_path / "empty.wav", np.zeros((0, 2), np.float32))
    with pytest.raises(DataError, match=f"{path}: holds no samples"):
        read_sound(path, RATE)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite(value: float, tmp_path: Path) -> None:
    written = noise(2, 90, 2)
    written[41, 1] = value
    path = write(tmp_path / "a.wav", written, subtype="FLOAT")
    with pytest.raises(DataError, match=f"{path}: sample 42 of 90 is not finite"):
        read_sound(path, RATE)


@pytest.mark.parametrize(
    ("name", "message"), [("a.wav", "cut off after 1,356 of 2,400 bytes"), ("a.flac", "cannot be read as sound")]
)
def test_what_is_cut_off(name: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, noise(3, 1200), subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:1400])
    with pytest.raises(DataError, match=f"{path}: {message}"):
        read_sound(path, RATE)


def test_a_cut_mp3_is_noticed_where_its_header_counts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile reads no MP3")
    path = write(tmp_path / "a.mp3", noise(4, 9000))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"{path}: cut off after [\d,]+ of 9,000 samples"):
        read_sound(path, RATE)
    capfd.readouterr()  # its decoder speaks for itself


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_a_file_written_to_a_pipe_does_not_know_its_size(size: int, tmp_path: Path) -> None:
    written = noise(5, 600)
    path = write(tmp_path / "a.wav", written, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[4:8] = content[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(content)
    np.testing.assert_allclose(read_sound(path, RATE)[0], written, rtol=0, atol=2**-15)


def test_a_chunk_behind_the_samples_is_no_sound(tmp_path: Path) -> None:
    written = noise(6, 601)
    path = write(tmp_path / "a.wav", written, subtype="PCM_U8")  # an odd number of bytes
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 8) + b"by Anna.")
    samples, _ = read_sound(path, RATE)
    assert len(samples) == 601
    np.testing.assert_allclose(samples, written, rtol=0, atol=2**-7)


def test_without_soundfile_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(RecurraError, match=re.escape("pip install 'recurra[sound]'")):
        read_sound(tmp_path / "a.wav", RATE)


# --- tables ------------------------------------------------------------------------------------------------------

ROWS = [
    {"audio": "clips/a.wav", "transcript": "good morning", "speaker": " anna ", "split": "train"},
    {"audio": "b.flac", "transcript": "7", "speaker": "", "split": "Dev"},
    {"audio": "b.flac", "transcript": "Öl, und mehr", "speaker": "bert", "split": "test"},
]


def write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        cells = [list(rows[0]), *(row.values() for row in rows)]
        between = "," if path.suffix == ".csv" else "\t"
        path.write_text("".join(between.join(f'"{cell}"' for cell in row) + "\n" for row in cells))
    return path


def clips(folder: Path) -> Path:
    write(folder / "clips/a.wav", noise(7, 300), subtype="FLOAT")
    write(folder / "b.flac", noise(8, 400), subtype="PCM_16")
    return folder


def without(rows: list[dict[str, str]], *names: str) -> list[dict[str, str]]:
    return [{name: cell for name, cell in row.items() if name not in names} for row in rows]


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
def test_tables_of_every_kind(name: str, tmp_path: Path) -> None:
    path = write_table(clips(tmp_path) / name, ROWS)
    found = read_utterances(str(path), SoundOptions(RATE), SILENT)
    assert list(found) == ["train", "valid", "test"]
    ((first,), (second,), (third,)) = found.values()
    np.testing.assert_array_equal(first.samples, noise(7, 300))
    np.testing.assert_allclose(second.samples, noise(8, 400), rtol=0, atol=2**-15)
    assert [one.transcript for one in (first, second, third)] == ["good morning", "7", "Öl, und mehr"]
    assert [one.speaker for one in (first, second, third)] == ["anna", None, "bert"]
    unit, line = ("row", 3) if name == "t.parquet" else ("line", 3 if name == "t.jsonl" else 4)
    assert third.place == f"{path} {unit} {line}"


def test_columns_of_other_names_and_none_that_are_not_needed(tmp_path: Path) -> None:
    rows = [{"path": f" {tmp_path / 'b.flac'} ", "sentence": " hi ", "client": "anna"}]
    path = write_table(clips(tmp_path) / "t.csv", rows)
    found = read_utterances(str(path), SoundOptions(RATE, "path", "sentence", "client"), SILENT)
    assert found.keys() == {"all"}
    digest = hashlib.sha256((tmp_path / "b.flac").read_bytes()).hexdigest()
    assert [one[1:] for one in found["all"]] == [("hi", "anna", f"{path} line 2", digest)]
    found = read_utterances(str(path), SoundOptions(RATE, "path", "sentence"), SILENT)
    assert found["all"][0].speaker is None


@pytest.mark.parametrize(("lowercase", "expected"), [(False, "Ça va, ANNA"), (True, "ça va, anna")])
def test_transcripts_are_lines_of_composed_characters(lowercase: bool, expected: str, tmp_path: Path) -> None:
    rows = [{"audio": "b.flac", "transcript": written} for written in ("C\u0327a  va,\tANNA ", "Ça va, ANNA")]
    path = write_table(clips(tmp_path) / "t.csv", rows)
    found = read_utterances(str(path), SoundOptions(RATE, lowercase=lowercase), SILENT)
    assert [one.transcript for one in found["all"]] == [expected, expected]


def test_recordings_are_found_anywhere_below_the_folder(tmp_path: Path) -> None:
    """As where a table lies beside the folder of its clips and says their names alone."""
    rows = [{"audio": Path(row["audio"]).name, "transcript": row["transcript"]} for row in ROWS]
    write_table(clips(tmp_path) / "tables/all.tsv", rows)
    found = read_utterances(str(tmp_path), SoundOptions(RATE), SILENT)["all"]
    for one, expected in zip(found, [noise(7, 300), noise(8, 400), noise(8, 400)], strict=True):
        np.testing.assert_allclose(one.samples, expected, atol=2**-15)


def test_a_folder_of_tables_by_split(tmp_path: Path) -> None:
    plain = without(ROWS, "split", "speaker")
    for name, rows in [("train.csv", plain[:2]), ("test.tsv", plain[2:]), ("others.csv", plain)]:
        write_table(clips(tmp_path) / name, rows)
    (tmp_path / "README.md").write_text("| no | table |")
    found = read_utterances(str(tmp_path), SoundOptions(RATE), SILENT)
    assert {split: [one.transcript for one in part] for split, part in found.items()} == {
        "train": ["good morning", "7"],
        "test": ["Öl, und mehr"],
    }
    (tmp_path / "train.csv").unlink()
    found = read_utterances(str(tmp_path), SoundOptions(RATE), SILENT)
    assert {split: len(part) for split, part in found.items()} == {"all": 4}
    write_table(tmp_path / "more.csv", without(ROWS, "speaker"))
    with pytest.raises(
        DataError, match="its recordings are for none, test, train, valid; expected each for one, or no splits"
    ):
        read_utterances(str(tmp_path), SoundOptions(RATE), SILENT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audio": ""}, " line 3: no audio; fill it, or leave the row out"),
        ({"transcript": "  "}, " line 3: no transcript; fill it, or leave the row out"),
        ({"split": "later"}, " line 3: split 'later'; expected one of train, valid, val, dev"),
        ({"split": ""}, " line 3: split ''; expected one of train, valid, val, dev"),
        (
            {"audio": "c.wav"},
            " line 3: no file {folder}/c.wav, nor any c.wav below {folder}; expected paths",
        ),
        ({"audio": "t.csv"}, " line 3: {folder}/t.csv: cannot be read as sound (Format not recognised)"),
    ],
)
def test_rows_that_cannot_be_read(change: dict[str, str], message: str, tmp_path: Path) -> None:
    path = write_table(clips(tmp_path) / "t.csv", [ROWS[0], {**ROWS[1], **change}, ROWS[2]])
    with pytest.raises(DataError, match=re.escape(f"{path}{message.format(folder=tmp_path)}")):
        read_utterances(str(path), SoundOptions(RATE), SILENT)


def test_a_table_of_something_else(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t.csv", without(ROWS, "audio"))
    with pytest.raises(DataError, match=r"no column 'audio' for recordings and transcripts \(--audio-column, --tran"):
        read_utterances(str(path), SoundOptions(RATE), SILENT)


def test_what_was_done_is_told_once(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", noise(1, 200), 16_000)
    write(tmp_path / "b.wav", noise(1, 200, 2))
    write(tmp_path / "c.wav", noise(1, 200))
    rows = [{"audio": f"{name}.wav", "transcript": "x"} for name in "aabacaab"]
    path, notes = write_table(tmp_path / "t.csv", rows), Notes()
    read_utterances(str(path), SoundOptions(RATE), notes)
    assert notes.lines == [
        f"{path}: 5 of 8 recordings resampled from 16,000 Hz",
        f"{path}: 2 of 8 recordings 2 channels averaged",
    ]
    with pytest.raises(UsageError, match="sample_rate: expected at least 1 Hz, got 0"):
        read_utterances(str(path), SoundOptions(0), notes)


# --- digits ------------------------------------------------------------------------------------------------------


def test_digits_by_the_names_of_their_files(tmp_path: Path) -> None:
    for digit, speaker, index in [(7, "jackson", 32), (0, "theo", 4), (9, "theo", 5), (3, "theo", 9), (1, "theo", 10)]:
        write(tmp_path / "recordings" / f"{digit}_{speaker}_{index}.wav", noise(digit, 90))
    (tmp_path / "README.md").write_text("about")
    found = read_utterances(str(tmp_path), SoundOptions(RATE), SILENT)
    told = {split: [(one.transcript, one.speaker) for one in part] for split, part in found.items()}
    assert told == {
        "train": [("one", "theo"), ("seven", "jackson")],
        "valid": [("three", "theo"), ("nine", "theo")],
        "test": [("zero", "theo")],
    }
    np.testing.assert_allclose(found["test"][0].samples, noise(0, 90), rtol=0, atol=2**-15)
    assert found["test"][0].place == str(tmp_path / "recordings" / "0_theo_4.wav")
    (tmp_path / "recordings" / "0_theo_4.wav").write_bytes(b"")
    with pytest.raises(DataError, match=f"^{tmp_path}/recordings/0_theo_4.wav: cannot be read"):
        read_utterances(str(tmp_path), SoundOptions(RATE), SILENT)


def test_a_folder_of_neither_tables_nor_digits(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to hear")
    with pytest.raises(DataError, match=f"{tmp_path}: expected a table of recordings and transcripts, or a folder"):
        read_utterances(str(tmp_path), SoundOptions(RATE), SILENT)
    for name in ("hello.wav", "12_theo_3.wav", "7_theo.wav"):
        path = write(tmp_path / name, noise(0, 9))
        with pytest.raises(DataError, match=f"{path}: expected a name of digit, speaker and index, such as 7_jackson"):
            read_utterances(str(tmp_path), SoundOptions(RATE), SILENT)
        path.unlink()
    with pytest.raises(DataError, match=f"{tmp_path}/notes.txt: expected a table"):
        read_utterances(str(tmp_path / "notes.txt"), SoundOptions(RATE), SILENT)


def test_the_free_spoken_digit_dataset() -> None:
    if find("fsdd") is None:
        pytest.skip("the Free Spoken Digit Dataset is not there; see docs/formats.md")
    found = read_utterances("fsdd", SoundOptions(RATE), SILENT)
    assert {split: len(part) for split, part in found.items()} == {"train": 2400, "valid": 300, "test": 300}
    assert {len({one.transcript for one in part}) for part in found.values()} == {10}
    assert {len({one.speaker for one in part}) for part in found.values()} == {6}
    assert 0.4 < np.mean([len(one.samples) for one in found["train"]]) / RATE < 0.5
