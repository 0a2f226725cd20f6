"""Tunes of three tones, and recognizers of them, for the tests of speech."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recurra.config import resolve
from recurra.progress import Progress
from recurra.tasks.speech.task import Speech, SpeechRecipe

RATE = 4000  # Hz
TONES = {"low": 300, "mid": 700, "high": 1500}  # Hz
TINY = {"hidden_size": [9], "dropout": 0.0, "output_dropout": 0.0, "time_reduction": 2}


def tune(words: list[str], draw: random.Random) -> np.ndarray:
    """A tone for each word, of any length and loudness, with some noise and a pause behind each."""
    rng, pieces = np.random.default_rng(draw.randrange(2**32)), []
    for word in words:
        time = np.arange(draw.randint(500, 800)) / RATE
        pieces += [draw.uniform(0.2, 0.6) * np.sin(2 * np.pi * TONES[word] * time), np.zeros(draw.randint(200, 500))]
    samples = np.concatenate(pieces)
    return (samples + 0.01 * rng.standard_normal(len(samples))).astype(np.float32)


def write_tunes(folder: Path, counts: tuple[int, int, int] = (30, 10, 12)) -> Path:
    """As many for training, validation and test, with a table of them."""
    import soundfile

    folder.mkdir(exist_ok=True)
    draw, rows = random.Random(6), ["audio,transcript,speaker,split"]
    for split, count in zip(("train", "valid", "test"), counts, strict=True):
        for number in range(count):
            words = [draw.choice(list(TONES)) for _ in range(draw.randint(1, 4))]
            soundfile.write(folder / f"{split}{number}.wav", tune(words, draw), RATE)
            rows.append(f"{split}{number}.wav,{' '.join(words)},s{number % 3},{split}")
    (folder / "tunes.csv").write_text("\n".join(rows) + "\n")
    return folder


def add_rows(folder: Path, *rows: str) -> None:
    """Put further recordings into the table."""
    with (folder / "tunes.csv").open("a") as file:
        file.write("".join(f"{row}\n" for row in rows))


def recipe_of(path: Path, **options: Any) -> SpeechRecipe:
    """A small recognizer of words."""
    values: dict[str, Any] = {
        "data": {"path": str(path), "sample_rate": RATE, "num_mels": 16, "unit": "word", **options.get("data", {})},
        "model": {**TINY, **options.get("model", {})},
        "training": {"batch_size": 6, **options.get("training", {})},
        "decoding": options.get("decoding", {}),
    }
    return resolve(SpeechRecipe, values, {}, "test")


def start(path: Path, progress: Progress | None = None, **options: Any) -> Speech:
    """The same, of random weights."""
    torch.manual_seed(2)
    return Speech.start(recipe_of(path, **options), progress or Progress())
