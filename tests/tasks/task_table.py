"""One small case for each task: data, options, inputs, and a broken file."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from stories import write_story
from tunes import RATE, write_tunes

WORDS = ("paris", "rome", "oslo", "please", "now", "well", "the", "so")
ROLES = {"paris": "B-city", "rome": "B-city", "oslo": "B-city"}
NO_DROPOUT = {"dropout": 0.0, "embedding_dropout": 0.0, "output_dropout": 0.0}


class Case(NamedTuple):
    """A task on data of its own."""

    write: Callable[[Path], Path]  # writes the data into a folder that exists; returns its path
    options: dict[str, Any]  # of training, small and without dropout
    inputs: Callable[[Any], list[Any]]  # of the data of a task with its data loaded: inputs of `predict`
    broken: str | None = None  # content of a text file that is no data of the task
    message: str = ""  # of the error about it, from the path on


def sentences(count: int) -> list[list[str]]:
    """Some words in a row."""
    draw = random.Random(5)
    return [[draw.choice(WORDS) for _ in range(draw.randint(2, 7))] for _ in range(count)]


def write_lines(path: Path, lines: list[str]) -> Path:
    """A text file."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_labels(folder: Path) -> Path:
    """A label, a tab and a text in each line: is the first word a city?"""
    rows = [f"{'city' if words[0] in ROLES else 'other'}\t{' '.join(words)}" for words in sentences(120)]
    return write_lines(folder / "labels.txt", rows)


def write_tags(folder: Path) -> Path:
    """Tokens and tags in columns."""
    rows = ["\n".join(f"{word} {ROLES.get(word, 'O')}" for word in words) + "\n" for words in sentences(120)]
    return write_lines(folder / "tags.conll", rows)


def write_series(folder: Path) -> Path:
    """A noisy sine by days."""
    random = np.random.default_rng(3)
    days = np.arange("2020-01-01", "2020-07-19", dtype="datetime64[D]")
    values = np.sin(np.arange(len(days)) / 3) + 0.1 * random.normal(size=len(days))
    rows = [f"{day},{value:.4f}" for day, value in zip(days, values, strict=True)]
    return write_lines(folder / "series.csv", ["day,value", *rows])


def write_pairs(folder: Path) -> Path:
    """Words, and the same backwards."""
    return write_lines(folder / "pairs.tsv", [f"{' '.join(w)}\t{' '.join(w[::-1])}" for w in sentences(120)])


def write_pictures(folder: Path) -> Path:
    """Features of images, and which of three colors they have."""
    random = np.random.default_rng(4)
    colors = random.integers(0, 3, 90)
    features = random.normal(size=(90, 4, 5)) + np.eye(5)[colors][:, None] * 3
    captions = np.array([f"a {('red', 'green', 'blue')[color]} one" for color in colors])
    splits = np.array(["train"] * 60 + ["valid"] * 15 + ["test"] * 15)
    np.savez(folder / "features.npz", features=features.astype(np.float32), captions=captions, splits=splits)
    return folder / "features.npz"


def write_recordings(folder: Path) -> Path:
    """Tones by name."""
    pytest.importorskip("soundfile", reason="reading sounds takes soundfile")
    return write_tunes(folder / "tunes")


CASES = {
    "language-modelling": Case(
        lambda folder: write_story(folder / "story.txt", 200),
        {"embedding_size": 7, "hidden_size": [9, 6], "batch_size": 4, "window": 11, **NO_DROPOUT},
        lambda task: ["the cat", "nobody sees the"],  # noqa: ARG005
        "",
        "empty; expected plain UTF-8 text",
    ),
    "classification": Case(
        write_labels,
        {"embedding_size": 7, "hidden_size": [9], "batch_size": 8, "pooling": "attention", **NO_DROPOUT},
        lambda task: ["so paris then", "rome", "well now please so"],  # noqa: ARG005
        "no tab here\n",
        "line 1",
    ),
    "tagging": Case(
        write_tags,
        {"embedding_size": 7, "hidden_size": [9], "character_hidden_size": 5, "batch_size": 8, **NO_DROPOUT},
        lambda task: ["so paris then", "rome", "well now please so"],  # noqa: ARG005
        "paris B-city\nso\n",
        "line 2: 1 column, where the first has 2",
    ),
    "forecasting": Case(
        write_series,
        {"target": ["value"], "context": 9, "horizon": 5, "hidden_size": [7], "batch_size": 8, "output_dropout": 0.0},
        lambda task: [task.recipe.data.path],
        "day,value\n2020-01-01,much\n",
        "line 2",
    ),
    "long-memory": Case(
        lambda folder: Path("adding"),  # noqa: ARG005
        {"length": 7, "hidden_size": [5], "train_size": 40, "held_out_size": 12, "batch_size": 8},
        lambda task: [task.encoded["test"].inputs[:, lane].numpy() for lane in range(3)],
    ),
    "translation": Case(
        write_pairs,
        {"unit": "word", "embedding_size": 7, "hidden_size": [9], "encoder_size": [5], "batch_size": 8, **NO_DROPOUT},
        lambda task: ["so paris then", "rome", "well now please so"],  # noqa: ARG005
        "eins\tone\nno tab here\n",
        "line 2",
    ),
    "captioning": Case(
        write_pictures,
        {"embedding_size": 7, "hidden_size": [9], "batch_size": 8, "memory_dropout": 0.0, **NO_DROPOUT},
        lambda task: [picture.content for picture in task.splits["test"][:3]],
        "no,column\n1,2\n",
        "image",
    ),
    "speech": Case(
        write_recordings,
        {
            "sample_rate": RATE,
            "num_mels": 16,
            "unit": "word",
            "hidden_size": [7],
            "batch_size": 6,
            "time_masks": 0,
            "frequency_masks": 0,
            "output_dropout": 0.0,
        },
        lambda task: [one.samples for one in task.splits["test"][:3]],
        "no,column\n1,2\n",
        "audio",
    ),
}
