"""Language modelling as a task: splits, losses, metrics, and that it learns."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import recurra
import recurra.tasks.language_modelling.task as task_module
from recurra.config import resolve
from recurra.errors import DataError, UsageError
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks.language_modelling.data import TextOptions, find_texts
from recurra.tasks.language_modelling.task import LanguageModelling, LanguageModellingRecipe

CYCLE = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
TINY = {"embedding_size": 6, "hidden_size": [9, 7], "batch_size": 4, "window": 5, "dropout": 0.0}


@pytest.fixture
def cycle(tmp_path: Path) -> Path:
    path = tmp_path / "cycle.txt"
    path.write_text("\n".join(" ".join(CYCLE) for _ in range(120)) + "\n")
    return path


def start(path: Path, **training: Any) -> LanguageModelling:
    values = {
        "data": {"path": str(path)},
        "model": {"embedding_size": 6, "hidden_size": [9, 7]},
        "training": {"batch_size": 4, "window": 5, **training},
    }
    torch.manual_seed(2)
    return LanguageModelling.start(resolve(LanguageModellingRecipe, values, {}, "test"), Progress())


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_learns_what_can_be_learned(cell: str, cycle: Path, tmp_path: Path) -> None:
    options = {
        **TINY,
        "embedding_dropout": 0.0,
        "output_dropout": 0.0,
        "learning_rate": 0.02,
        "epochs": 8,
        "cell": cell,
    }
    run = recurra.train(
        "language-modelling", cycle, run=tmp_path / "run", progress=Progress(), clip_norm=1.0, **options
    )
    metrics = Run(run).read_json("metrics.json")
    assert metrics["model"]["test"]["perplexity"] < 1.1  # the text repeats itself
    assert metrics["unigram"]["test"]["perplexity"] > 9
    assert recurra.load(run).predict(["one two three"])[0].text == "four"
    assert recurra.load(run).generate("one two three four five", length=3, temperature=0) == "six seven eight"


@pytest.mark.parametrize("unit", ["character", "bpe"])
def test_other_units_train_and_generate(unit: str, cycle: Path, tmp_path: Path) -> None:
    run = recurra.train(
        "language-modelling", cycle, run=tmp_path / "run", progress=Progress(), unit=unit, epochs=2,
        vocabulary_size=300 if unit == "bpe" else None, learning_rate=0.02, **TINY,
    )  # fmt: skip
    assert len(recurra.load(run).generate("one t", length=5, seed=1)) >= 5
    metrics = Run(run).read_json("metrics.json")["model"]["test"]
    text = cycle.read_text()
    assert metrics["unknown"] == 0
    assert metrics["tokens"] <= len(text) * 0.06
    assert metrics["bits_per_character"] < 3


def test_first_loss_is_that_of_the_frequencies(cycle: Path) -> None:
    task = start(cycle)
    first = float(task.loss(task.batches(0)[0], None).mean.detach())
    assert first == pytest.approx(math.log(len(CYCLE) + 1), abs=0.3)


def test_loss_counts_each_target_once(cycle: Path) -> None:
    task = start(cycle)
    batches = task.batches(0)
    counted = sum(task.loss(batches[index], None).num_items for index in range(len(batches)))
    assert counted == len(task.encoded["train"].ids)


def test_evaluation_in_streams_differs_only_by_their_empty_states(cycle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = start(cycle)
    tokens = task.encoded["train"]
    whole = task.evaluate_text(tokens, Progress())["loss"]
    monkeypatch.setattr(task_module, "EVALUATION_STEPS", 7)
    assert task.evaluate_text(tokens, Progress())["loss"] == pytest.approx(whole, abs=1e-6)  # the state is carried
    monkeypatch.setattr(task_module, "EVALUATION_STREAM", 300)
    streams = task.evaluate_text(tokens, Progress())["loss"]
    assert streams == pytest.approx(whole, abs=1e-2)
    assert streams != whole


def test_evaluation_changes_neither_mode_nor_random_numbers(cycle: Path) -> None:
    task = start(cycle)
    task.model.train()
    before = torch.get_rng_state()
    task.validate(Progress())
    task.samples()
    assert task.model.training
    assert torch.equal(torch.get_rng_state(), before)


def test_perplexity_of_equal_probabilities_is_the_number_of_types(cycle: Path) -> None:
    task = start(cycle)
    with torch.no_grad():
        task.model.output.weight.zero_()
        task.model.output.bias.zero_()
    metrics = task.evaluate_text(task.encoded["test"], Progress())
    assert metrics["perplexity"] == pytest.approx(len(task.vocabulary), rel=1e-5)
    bits = math.log2(len(task.vocabulary)) * metrics["tokens"]
    assert metrics["bits_per_character"] == pytest.approx(bits / task.encoded["test"].num_characters, rel=1e-5)


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def contents(options: dict[str, Any]) -> dict[str, str]:
    splits = find_texts(TextOptions.parse(options, "test"))
    return {name: "".join(text.pieces()) for name, text in splits.items()}


def test_splits_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path, train="a\n", valid="b\n", test="c\n")
    assert contents({"path": str(tmp_path)}) == {"train": "a\n", "valid": "b\n", "test": "c\n"}


def test_splits_given_one_by_one(tmp_path: Path) -> None:
    write(tmp_path, first="a\n" * 50, second="b\n", third="c\n")
    names = {"path": "first", "valid": "second", "test": "third"}
    paths = {key: str(tmp_path / f"{name}.txt") for key, name in names.items()}
    assert contents(paths) == {"train": "a\n" * 50, "valid": "b\n", "test": "c\n"}
    without_test = contents({key: paths[key] for key in ("path", "valid")})
    assert without_test == {"train": "a\n" * 50, "valid": "b\n"}
    without_valid = contents({key: paths[key] for key in ("path", "test")})
    assert without_valid["test"] == "c\n"
    assert without_valid["train"] + without_valid["valid"] in ("a\n" * 50, "a\n" * 47, "a\n" * 48)


def test_split_by_position_loses_nothing(tmp_path: Path) -> None:
    lines = "".join(f"line {number}\n" for number in range(1000))
    (tmp_path / "text.txt").write_text(lines)
    splits = contents({"path": str(tmp_path / "text.txt"), "shares": [0.7, 0.2, 0.1]})
    assert splits["train"] + splits["valid"] + splits["test"] == lines
    assert all(text.startswith("line ") and text.endswith("\n") for text in splits.values())
    assert [len(splits[name]) / len(lines) for name in ("train", "valid", "test")] == pytest.approx(
        [0.7, 0.2, 0.1], abs=0.01
    )


@pytest.mark.parametrize("shares", [[0.5, 0.5, 0.5], [1.0, 0.0, 0.0], [0.9, 0.1]])
def test_impossible_shares(shares: list[float]) -> None:
    with pytest.raises(UsageError, match="shares"):
        TextOptions.parse({"path": "x", "shares": shares}, "test")


def test_shorter_than_one_window_in_each_stream(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("a b c d e f\n" * 20)
    with pytest.raises(DataError, match=r"fewer than one window of 50 steps in each of 4 streams \(200\)"):
        start(tmp_path / "short.txt", window=50)
