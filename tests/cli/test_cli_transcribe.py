"""`recurra transcribe`, and recordings that nobody could learn from."""

import io
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile", reason="reading sounds takes soundfile")

RATE = 4000  # Hz
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """High and low tones."""
    folder, draw, rows = tmp_path_factory.mktemp("tones"), random.Random(2), ["audio,transcript"]
    for number in range(60):
        time = np.arange(draw.randint(800, 1500)) / RATE
        tone = 0.4 * np.sin(2 * np.pi * (1500 if number % 2 else 300) * time)
        soundfile.write(folder / f"{number}.wav", tone, RATE)
        rows.append(f"{number}.wav,{'high' if number % 2 else 'low'}")
    (folder / "tones.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_recognizer_from_the_command_line(
    folder: Path, tmp_path: Path, recurra_command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    options = [*SMALL, "--epochs", "40", "--learning-rate", "0.02", "--batch-size", "8", "--no-bidirectional"]
    options += ["--frequency-masks", "0", "--time-masks", "0"]
    assert recurra_command("train", "speech", folder, "--run", run, *options).code == 0
    assert "Lowest scores" in (run / "evaluation.html").read_text()
    sounds = [folder / "3.wav", folder / "4.wav"]
    assert recurra_command("transcribe", run, *sounds).out == f"{sounds[0]}\thigh\n{sounds[1]}\tlow\n"
    assert recurra_command("transcribe", run, sounds[1]).out == "low\n"
    greedy = recurra_command("transcribe", run, *sounds, "--beam", "1").out
    assert recurra_command("transcribe", run, *sounds, "--stream").out == greedy
    greedy_high, greedy_low = (line.partition("\t")[2] for line in greedy.splitlines())
    assert greedy_low == "low"
    rows = recurra_command("transcribe", run, *sounds, "--num-best", "2", "--json").json_lines
    assert [row["texts"][0]["text"] for row in rows] == ["high", "low"]
    assert "score" in recurra_command("transcribe", run, sounds[0], "--num-best", "2").out
    assert f"see recurra transcribe {run}" in recurra_command("predict", run, sounds[0]).err
    (row,) = recurra_command("transcribe", run, sounds[1], "--beam", "1", "--json").json_lines
    assert row["texts"][0]["score"] == row["texts"][0]["log_probability"] < 0
    weighed = ["--beam", "4", "--lm-weight", "0.5", "--insertion-bonus", "1.0", "--json"]
    (row,) = recurra_command("transcribe", run, sounds[1], *weighed).json_lines
    assert row["texts"][0]["score"] != row["texts"][0]["log_probability"]
    for wrong in (
        ["--stream", "--json"],
        ["--stream", "--insertion-bonus", "1"],
        ["--beam", "1", "--insertion-bonus", "1"],
    ):
        assert recurra_command("transcribe", run, sounds[0], *wrong).code == 2

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
    assert (outcome.code, "standard input is listened to with --stream only" in outcome.err) == (2, True)
    soundfile.write(tmp_path / "double.wav", np.repeat(samples, 2), 2 * RATE)
    outcome = recurra_command("transcribe", run, tmp_path / "double.wav", "--stream")
    assert (outcome.code, "double.wav: resampled from 8,000 Hz" in outcome.err) == (0, True)

    assert set(recurra_command("evaluate", run, "--json", "--quiet").json) == {"model", "frequent", "nearest"}
    assert recurra_command("info", run, "--check").code == 0
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
    named = [line.split("\t") for line in recurra_command("transcribe", run, folder).out.splitlines()]
    assert [name for name, _ in named] == sorted(str(folder / f"{number}.wav") for number in range(60))
    assert dict(named)[str(sounds[0])] == "high"
    outcome = recurra_command("transcribe", run, run)
    assert (outcome.code, f"{run}: a folder without files ending in .wav, .flac" in outcome.err) == (3, True)


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
