"""`recurra transcribe`, and recordings that nobody could learn from."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import RATE

soundfile = pytest.importorskip("soundfile", reason="reading sounds takes soundfile")

SMALL = ["--sample-rate", RATE, "--num-mels", "12", "--unit", "word", "--hidden-size", "12", "--quiet"]


class Interrupted(io.RawIOBase):
    """Samples, and Ctrl-C where they end."""

    def __init__(self, samples: bytes) -> None:
        self.left = io.BytesIO(samples)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self.left.readinto(buffer)
        if not size:
            raise KeyboardInterrupt
        return size


@pytest.fixture
def run(small_run: Callable[[str], Any]) -> Path:
    return small_run("speech").run


@pytest.fixture
def sounds(small_run: Callable[[str], Any]) -> list[Path]:
    """A high and a low tone."""
    folder = small_run("speech").data
    return [folder / "3.wav", folder / "4.wav"]


def test_transcripts_stand_behind_names_where_there_are_several(
    recurra_command: Any, run: Path, sounds: list[Path]
) -> None:
    assert recurra_command("transcribe", run, *sounds).out == f"{sounds[0]}\thigh\n{sounds[1]}\tlow\n"
    assert recurra_command("transcribe", run, sounds[1]).out == "low\n"
    assert recurra_command("predict", run, sounds[1]).out == "low\n"
    folder = sounds[0].parent
    named = [line.split("\t") for line in recurra_command("transcribe", run, folder).out.splitlines()]
    assert [name for name, _ in named] == sorted(str(folder / f"{number}.wav") for number in range(60))
    assert dict(named)[str(sounds[0])] == "high"
    outcome = recurra_command("transcribe", run, run)
    assert (outcome.code, f"{run}: a folder without files ending in .wav, .flac" in outcome.err) == (3, True)


def test_options_of_the_search(recurra_command: Any, run: Path, sounds: list[Path]) -> None:
    rows = recurra_command("transcribe", run, *sounds, "--num-best", "2", "--json").json_lines
    assert [row["sound"] for row in rows] == list(map(str, sounds))
    assert [row["texts"][0]["text"] for row in rows] == ["high", "low"]
    table = recurra_command("transcribe", run, sounds[0], "--num-best", "2").out
    for one in rows[0]["texts"]:
        assert f"{one['score']:.3f}" in table
    assert "score" in table
    (row,) = recurra_command("transcribe", run, sounds[1], "--beam-size", "1", "--json").json_lines
    assert row["texts"][0]["score"] == row["texts"][0]["log_probability"] < 0
    weighed = ["--beam-size", "4", "--lm-weight", "0.5", "--insertion-bonus", "1.0", "--json"]
    (row,) = recurra_command("transcribe", run, sounds[1], *weighed).json_lines
    assert row["texts"][0]["score"] != row["texts"][0]["log_probability"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stream", "--insertion-bonus", "1"], "insertion_bonus"),
        (["--stream", "--num-best", "2"], "num_best"),
        (["--beam-size", "1", "--insertion-bonus", "1"], "insertion_bonus"),
        (["--beam-size", "0"], "beam_size: expected greater than or equal to 1, got 0"),
    ],
)
def test_options_that_would_do_nothing(
    recurra_command: Any, run: Path, sounds: list[Path], arguments: list[str], message: str
) -> None:
    outcome = recurra_command("transcribe", run, sounds[0], *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err


def test_streams(
    recurra_command: Any, run: Path, sounds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy = recurra_command("transcribe", run, *sounds, "--beam-size", "1").out
    assert recurra_command("transcribe", run, *sounds, "--stream").out == greedy
    rows = recurra_command("transcribe", run, *sounds, "--stream", "--json").json_lines
    assert [f"{row['sound']}\t{row['text']}\n" for row in rows] == greedy.splitlines(keepends=True)
    greedy_high, greedy_low = (line.partition("\t")[2] for line in greedy.splitlines())
    assert greedy_low == "low"

    samples, _ = soundfile.read(sounds[0], dtype="int16")
    raw = samples.astype("<i2").tobytes() + b"!"  # cut off within a sample
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert recurra_command("transcribe", run, "-", "--stream").out == f"{greedy_high}\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sounds[0].read_bytes())))
    outcome = recurra_command("transcribe", run, "-", "--stream")
    assert (outcome.code, outcome.out) == (3, "")
    assert "-: a sound file, where raw samples are expected; give its name instead, or " in outcome.err
    assert f"-ar {RATE} -" in outcome.err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Interrupted(raw))))
    outcome = recurra_command("transcribe", run, "-", "--stream")
    assert (outcome.code, outcome.out, outcome.err) == (130, f"{greedy_high}\n", "recurra: stopped\n")
    outcome = recurra_command("transcribe", run, "-")
    assert (outcome.code, outcome.out) == (2, "")
    assert "standard input is transcribed with --stream only" in outcome.err
    soundfile.write(tmp_path / "double.wav", np.repeat(samples, 2), 2 * RATE)
    outcome = recurra_command("transcribe", run, tmp_path / "double.wav", "--stream")
    assert (outcome.code, "double.wav: resampled from 8,000 Hz" in outcome.err) == (0, True)


def test_text_of_a_stream_is_printed_as_it_comes(
    recurra_command: Any, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each piece before the next is computed."""
    from recurra.tasks.speech.trained import SpeechStream

    printed = []

    def feed(self: SpeechStream, samples: Any) -> str:  # noqa: ARG001
        printed.append(capsys.readouterr().out)
        return f"{len(printed)} "

    monkeypatch.setattr(SpeechStream, "feed", feed)
    second = np.zeros(RATE, "<i2").tobytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(second)))
    assert recurra_command("transcribe", run, "-", "--stream").out == "10 \n"
    assert printed == ["", *(f"{number} " for number in range(1, 10))]


def test_recordings_that_cannot_be_read(recurra_command: Any, run: Path, sounds: list[Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut.wav"
    cut.write_bytes(sounds[0].read_bytes()[:900])
    outcome = recurra_command("transcribe", run, cut)
    assert (outcome.code, outcome.out) == (3, "")
    assert "cut.wav: cut off after" in outcome.err
    soundfile.write(tmp_path / "brief.wav", np.zeros(30), RATE)
    for bad in ("cut.wav", "brief.wav"):
        outcome = recurra_command("transcribe", run, sounds[1], tmp_path / bad, sounds[0])
        assert (outcome.code, outcome.out) == (3, f"{sounds[1]}\tlow\n")
        assert f"{bad}: " in outcome.err


def test_a_table_that_names_what_is_no_sound(tmp_path: Path, recurra_command: Any) -> None:
    (tmp_path / "a.wav").write_text("no sound")
    (tmp_path / "t.csv").write_text("audio,transcript\na.wav,something\n")
    outcome = recurra_command("train", "speech", tmp_path, "--run", tmp_path / "run", *SMALL)
    assert outcome.code == 3
    assert "t.csv line 2" in outcome.err
    assert "a.wav" in outcome.err
    assert not (tmp_path / "run").exists()
    found = recurra_command("check", "speech", tmp_path, "--sample-rate", RATE)
    assert found.code == 3
