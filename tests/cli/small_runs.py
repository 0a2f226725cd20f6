"""Small data sets and trainings, one for each task, whose answers are known."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

CITIES, TOWNS = ("rome", "oslo", "lima"), ("york", "bath", "ulm")
LETTERS = "abcdef"
RATE = 4000  # Hz
QUICK = "--hidden-size 12 --epochs 3 --learning-rate 0.02"
SLOW = "--hidden-size 12 --learning-rate 0.02 --batch-size 8"


class SmallRun(NamedTuple):
    """A finished run and its data; treat both as read-only."""

    run: Path
    data: Path


class SmallTraining(NamedTuple):
    """What a run is trained on."""

    write: Callable[[Path], Path]  # writes the data into a folder
    options: str


def write_places(folder: Path) -> Path:
    """Labelled texts, in which one word decides."""
    rows = [f"the {place} is number {n},{kind}" for kind, names in (("city", CITIES), ("town", TOWNS))
            for n in range(20) for place in names]  # fmt: skip
    path = folder / "places.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def write_trips(folder: Path) -> Path:
    """Tagged sentences in columns."""
    blocks = [f"go O\nto O\n{place} B-{kind}\nno{n} O\n" for kind, names in (("city", CITIES), ("town", TOWNS))
              for n in range(20) for place in names]  # fmt: skip
    path = folder / "trips.txt"
    path.write_text("\n".join(blocks))
    return path


def write_waves(folder: Path) -> Path:
    """A table of hours with the wave of a day in it."""
    hours = np.arange(24 * 30)
    times = np.datetime64("2021-03-01T00", "h") + hours
    values = 10 + 3 * np.sin(2 * np.pi * hours / 24)
    path = folder / "waves.csv"
    path.write_text("\n".join(["time,level", *(f"{t},{v:.4f}" for t, v in zip(times, values, strict=True))]) + "\n")
    return path


def write_letters(folder: Path) -> Path:
    """Three small letters, and the same large."""
    words = [first + second + third for first in LETTERS for second in LETTERS for third in LETTERS]
    path = folder / "letters.txt"
    path.write_text("".join(f"{word}\t{word.upper()}\n" for word in words))
    return path


def write_shades(folder: Path) -> Path:
    """Black and white pictures."""
    image = pytest.importorskip("PIL.Image", reason="reading images takes Pillow")
    rows = ["image,caption"]
    for number in range(60):
        image.fromarray(np.full((8, 8), 255 * (number % 2), np.uint8)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,all {'white' if number % 2 else 'black'}")
    (folder / "captions.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_tones(folder: Path) -> Path:
    """High and low tones."""
    soundfile = pytest.importorskip("soundfile", reason="reading sounds takes soundfile")
    draw, rows = random.Random(2), ["audio,transcript"]
    for number in range(60):
        time = np.arange(draw.randint(800, 1500)) / RATE
        tone = 0.4 * np.sin(2 * np.pi * (1500 if number % 2 else 300) * time)
        soundfile.write(folder / f"{number}.wav", tone, RATE)
        rows.append(f"{number}.wav,{'high' if number % 2 else 'low'}")
    (folder / "tones.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_segments(folder: Path) -> Path:
    """Labelled series of noise."""
    path = folder / "series.npz"
    np.savez(path, x=np.random.default_rng(1).normal(size=(40, 5, 2)), y=["a", "b"] * 20)
    return path


TRAININGS = {
    "classification": SmallTraining(write_places, QUICK),
    "series": SmallTraining(write_segments, QUICK),  # classification, too, of files
    "tagging": SmallTraining(write_trips, QUICK),
    "forecasting": SmallTraining(write_waves, f"--target level --context 30 --horizon 6 --head quantile {QUICK}"),
    "long-memory": SmallTraining(
        lambda folder: Path("adding"),  # noqa: ARG005
        "--length 7 --hidden-size 5 --train-size 40 --held-out-size 12 --epochs 1",
    ),
    "translation": SmallTraining(
        write_letters,
        "--unit character --embedding-size 16 --hidden-size 24 --epochs 12 --learning-rate 0.02 --batch-size 16",
    ),
    "captioning": SmallTraining(write_shades, f"--image-size 8,8 --channels 6 --embedding-size 8 --epochs 20 {SLOW}"),
    "speech": SmallTraining(
        write_tones,
        f"--sample-rate {RATE} --num-mels 12 --unit word --no-bidirectional --frequency-masks 0 --time-masks 0 "
        f"--epochs 40 {SLOW}",
    ),
}
