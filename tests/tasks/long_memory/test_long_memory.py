"""Memory as a task: that it learns, judges fairly, draws what it says, comes back from its folder."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import recurra
from recurra.config import resolve
from recurra.data.builtin.long_memory import BLANK, DELIMITER, copying_baseline
from recurra.errors import DataError, RunError, ShapeError, UsageError
from recurra.models.long_memory import LongMemoryNetwork, LongMemoryOptions
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks.long_memory.data import Adding, Copying
from recurra.tasks.long_memory.task import LongMemory, LongMemoryRecipe
from recurra.tasks.long_memory.trained import TrainedLongMemory
from recurra.tasks.task import architecture_of, check_samples, describe, fingerprint, restore


def recipe_of(problem: str, model: dict[str, Any] | None = None, seed: int = 2, **data: Any) -> LongMemoryRecipe:
    values = {
        "seed": seed,
        "data": {"path": problem, "length": 9, "train_size": 40, "held_out_size": 23, **data},
        "model": {"hidden_size": [6], **(model or {})},
        "training": {"batch_size": 7},
    }
    return resolve(LongMemoryRecipe, values, {}, "test")


def start(problem: str, model: dict[str, Any] | None = None, seed: int = 2, **data: Any) -> LongMemory:
    torch.manual_seed(seed)
    return LongMemory.start(recipe_of(problem, model, seed, **data), Progress())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that adds over twenty steps."""
    return recurra.train(
        "long-memory", "adding", run=tmp_path_factory.mktemp("memory") / "run", progress=Progress(),
        length=20, train_size=3000, held_out_size=300, hidden_size=32, epochs=6, batch_size=20, learning_rate=0.01,
    )  # fmt: skip


# --- the whole way -------------------------------------------------------------------------------------------------


def test_learns_what_needs_memory(run: Path) -> None:
    metrics = Run(run).read_json("metrics.json")
    assert set(metrics) == {"model", "always_1", "training"}
    for split in ("valid", "test"):
        assert metrics["always_1"][split]["mse"] == pytest.approx(1 / 6, abs=0.03)  # five standard deviations
        assert metrics["model"][split]["mse"] < 0.005
        assert metrics["model"][split]["solved"] > 3 * metrics["always_1"][split]["solved"]
        assert metrics["model"][split]["sequences"] == 300
    assert metrics["model"]["valid"] != metrics["model"]["test"]
    history = Run(run).read_rows("history.jsonl")
    assert min(row["valid_mse"] for row in history) == pytest.approx(metrics["model"]["valid"]["mse"], rel=1e-5)


def test_a_loaded_run_predicts_the_same(run: Path) -> None:
    model = TrainedLongMemory(Run(run))
    assert check_samples(model.task, model.run) < 1e-6
    values = np.random.default_rng(4).random((3, 20))
    marks = np.zeros((3, 20))
    marks[[0, 1, 2], [1, 9, 4]] = marks[[0, 1, 2], [10, 19, 13]] = 1
    found = model.predict(np.stack([values, marks], 2))
    sums = [one.answer for one in found]
    np.testing.assert_allclose(sums, (values * marks).sum(1), atol=0.25)  # three deviations of its errors
    assert model.evaluate() == {k: v for k, v in Run(run).read_json("metrics.json").items() if k != "training"}


def test_a_resumed_run_ends_in_the_same_weights(tmp_path: Path) -> None:
    options = {"length": 4, "train_size": 60, "held_out_size": 10, "hidden_size": 5, "epochs": 3, "batch_size": 7}
    whole = recurra.train("long-memory", "copy", run=tmp_path / "whole", progress=Progress(), **options)
    parts = recurra.train("long-memory", "copy", run=tmp_path / "parts", progress=Progress(), steps=13, **options)
    recurra.resume(parts, progress=Progress(), steps=None)
    one, other = (Run(folder).read_tensors("last/checkpoint.safetensors").tensors for folder in (whole, parts))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_a_run_whose_recipe_was_edited_is_refused(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    (copy / "recipe.toml").write_text((copy / "recipe.toml").read_text().replace("length = 20", "length = 21"))
    with pytest.raises(RunError, match=r"recipe\.toml and model\.json describe different models"):
        restore(LongMemory, Run(copy))


def test_a_run_that_is_older_than_an_option_is_read(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    task, older = restore(LongMemory, Run(run)), Run(copy)
    description = describe(task)[0]
    del description["architecture"]["model"]["dropout"]
    older.write_model(task.name, description, {})
    assert architecture_of(restore(LongMemory, older).recipe) == architecture_of(task.recipe)


def test_a_run_does_not_go_on_with_another_problem(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    with pytest.raises(DataError, match=r"its data has changed since training began \(test, valid\)"):
        recurra.resume(copy, progress=Progress(), path="copy", epochs=7)
    assert Run(copy).read("recipe.toml") == Run(run).read("recipe.toml")


def test_what_a_memory_run_does_not_take(run: Path) -> None:
    model = TrainedLongMemory(Run(run))
    with pytest.raises(UsageError, match=r"numbers\.csv: a memory problem is evaluated on sequences that it generates"):
        model.evaluate("numbers.csv")
    for wrong in (np.zeros(20), np.zeros((20, 3)), np.zeros((0, 2))):
        with pytest.raises(ShapeError, match=r"adding: expected numbers and marks \(time, 2\), got an array"):
            model.predict([wrong])


def test_sequences_are_read_from_lines_of_json(run: Path, tmp_path: Path) -> None:
    model, rng = TrainedLongMemory(Run(run)), np.random.default_rng(6)
    sequences = [np.stack([rng.random(length), np.eye(length)[3]], 1) for length in (20, 9, 31)]
    file = tmp_path / "sequences.jsonl"
    file.write_text("".join(f"{json.dumps(one.tolist())}\n" for one in sequences))
    found = model.predict([file])
    assert [one.input for one in found] == [f"{file} line {number}" for number in (1, 2, 3)]
    assert [one.answer for one in found] == [one.answer for one in model.predict(sequences)]
    assert found == model.predict([str(file)])
    assert found[1].text == f"{found[1].answer:.4f}"
    assert found[1].as_json() == {"input": f"{file} line 2", "answer": found[1].answer}
    assert len({one.text for one in found}) == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", r"expected a JSON array, got ''"),
        ("[[0.5, 1], [0.1", r"expected a JSON array, got '\[\[0\.5, 1\], \[0\.1'"),
        ("[[0.5, 1], [0.1]]", r"adding: expected numbers and marks \(time, 2\), got lists of different lengths"),
        ("[0.5, 1, 0.1]", r"adding: expected numbers and marks \(time, 2\), got an array \(3,\)"),
        ('[["a", "b"]]', r"adding: expected numbers and marks \(time, 2\), all finite, got an array of <U1"),
        ("[[NaN, 1]]", r"adding: expected numbers and marks \(time, 2\), all finite, got an array of float64"),
        ('{"a": 1}', r"adding: expected numbers and marks \(time, 2\), got an array \(\)"),
    ],
)
def test_a_bad_line_is_named_after_those_before_it(line: str, message: str, run: Path, tmp_path: Path) -> None:
    model, file = TrainedLongMemory(Run(run)), tmp_path / "sequences.jsonl"
    file.write_text(f"[[0.5, 1], [0.1, 0]]\n{line}\n")
    found = model.read_file(str(file), {}, Progress())
    assert next(found).name == f"{file} line 1"
    with pytest.raises(DataError, match=rf"sequences\.jsonl line 2: {message}"):
        next(found)


def test_a_file_that_is_not_there(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.jsonl: cannot be read"):
        TrainedLongMemory(Run(run)).predict([tmp_path / "nothing.jsonl"])


def test_an_unknown_problem_is_named() -> None:
    with pytest.raises(UsageError, match=r"data\.path: expected 'adding' or 'copy', got 'sorting'"):
        recipe_of("sorting")


# --- what is drawn -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", ["adding", "copy"])
def test_no_sequence_is_trained_on_and_judged_by(problem: str) -> None:
    task = start(problem)
    epochs = [task.batches(epoch) for epoch in range(3)]
    assert [len(batches) for batches in epochs] == [6, 6, 6]  # 40 sequences, 7 a batch
    drawn = [batch.inputs for batches in epochs for batch in batches]
    drawn += [examples.inputs for examples in task.encoded.values()]
    columns = [column.numpy().tobytes() for inputs in drawn for column in inputs.unbind(1)]
    assert len(columns) == 3 * 42 + 2 * 23
    assert len(set(columns)) == len(columns)
    assert torch.equal(task.batches(1)[4].inputs, epochs[1][4].inputs)


@pytest.mark.parametrize("problem", ["adding", "copy"])
def test_the_fingerprint_is_of_the_held_out_sequences(problem: str) -> None:
    first = fingerprint(start(problem))
    assert list(first) == ["valid", "test"]
    assert fingerprint(start(problem, {"cell": "lstm"}, train_size=90)) == first
    others = [start(problem, seed=3), start(problem, length=10), start(problem, held_out_size=24)]
    assert len({digest for task in others for digest in fingerprint(task).values()} | set(first.values())) == 8


def test_check_counts() -> None:
    found = LongMemory.check(recipe_of("copy"), Progress())
    assert found["splits"] == {
        "train, each epoch": {"sequences": 42, "steps": 29},
        "valid": {"sequences": 23, "steps": 29},
        "test": {"sequences": 23, "steps": 29},
    }
    assert found["without memory"]["test"]["loss"] == pytest.approx(copying_baseline(9), rel=1e-3)
    assert found["problems"] == []


# --- how answers are judged ----------------------------------------------------------------------------------------


def test_scores_of_sums_by_hand() -> None:
    answers = torch.tensor([[9.0, 9, 9, 9], [0.53, 1.0, 1.45, 0.2]]).unsqueeze(2)  # only the last step counts
    scores = Adding(5).scores(answers, torch.tensor([0.5, 1.05, 1.4, 0.21]))
    assert scores["mse"] == pytest.approx((0.03**2 + 0.05**2 + 0.05**2 + 0.01**2) / 4, rel=1e-5)
    assert scores["solved"] == 0.5
    assert scores["sequences"] == 4


def test_scores_of_copies_by_hand() -> None:
    problem = Copying(3)
    targets = problem.draw(8, 1, 5, 0)[0].targets  # (23, 8)
    answers = F.one_hot(targets, 9).float() * 30
    assert problem.scores(answers, targets) == {
        "loss": pytest.approx(0, abs=1e-9),
        "accuracy": 1,
        "solved": 1,
        "sequences": 8,
    }
    answers[2] = 0  # a blank that is not sure costs nats, not accuracy
    scores = problem.scores(answers, targets)
    assert (scores["accuracy"], scores["solved"]) == (1, 1)
    assert scores["loss"] == pytest.approx(math.log(9) / 23, rel=1e-6)
    answers[-1, 6] = answers[-4, 6] = answers[-10, 1] = 30 * F.one_hot(torch.tensor(BLANK), 9)
    scores = problem.scores(answers, targets)
    assert scores["accuracy"] == pytest.approx(77 / 80)
    assert scores["solved"] == pytest.approx(6 / 8)


def test_without_memory() -> None:
    task = start("copy", held_out_size=3000)
    scores = task.baselines(task.encoded, Progress())["no_memory"]["test"]
    assert scores["loss"] == pytest.approx(copying_baseline(9), rel=1e-6)
    assert scores["accuracy"] == pytest.approx(1 / 8, abs=0.008)  # four standard deviations of 30,000 guesses
    assert scores["solved"] == 0


# --- the network ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", ["adding", "copy"])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_every_parameter_learns(problem: str, cell: str) -> None:
    task = start(problem, {"cell": cell, "hidden_size": [6, 5]})
    task.loss(task.batches(0)[0], None).mean.backward()
    for name, parameter in task.model.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_the_loss_is_over_every_step_of_a_copy() -> None:
    task = start("copy")
    inputs, targets = task.batches(0)[3]
    output, _ = task.model.recurrent(F.one_hot(inputs, 10).float())
    nats = -task.model.output(output).log_softmax(2).gather(2, targets[..., None])
    found = task.loss(task.batches(0)[3], None)
    torch.testing.assert_close(found.mean, nats.mean())
    assert found.num_items == 7


def test_the_last_answers_are_those_of_all() -> None:
    torch.manual_seed(3)
    network = LongMemoryNetwork(2, 3, 8, LongMemoryOptions(hidden_size=[5])).eval()
    inputs = torch.randn(8, 4, 2)
    torch.testing.assert_close(network(inputs, 2), network(inputs, 8)[-2:])


def test_chrono_remembers_as_far_as_the_sequence_is_long() -> None:
    task = start("copy", {"initialization": "chrono", "hidden_size": [400], "cell": "lstm"}, length=180)
    forget = task.model.recurrent.bias_ih_l0.chunk(4)[1].exp() + 1
    assert 190 < forget.max() <= 200
    task = start("adding", {"initialization": "identity", "cell": "rnn", "nonlinearity": "relu"})
    assert torch.equal(task.model.recurrent.weight_hh_l0, torch.eye(6))


def test_a_sequence_of_another_length_is_answered(tmp_path: Path) -> None:
    options = {"length": 4, "train_size": 20, "held_out_size": 10, "hidden_size": 5, "epochs": 1}
    run = recurra.train("long-memory", "copy", run=tmp_path / "run", progress=Progress(), **options)
    model = TrainedLongMemory(Run(run))
    symbols = [3, 1, 4, 1, 5, 2, 6, 5, 3, 5]
    for delay in (2, 40):
        sequence = [*symbols, *[BLANK] * (delay - 1), DELIMITER, *[BLANK] * 10]
        (found,) = model.predict([sequence])
        output, _ = model.task.model.recurrent(F.one_hot(torch.tensor(sequence), 10).float()[:, None])
        assert found.answer == model.task.model.output(output)[-10:, 0].argmax(1).tolist()
        assert found.text.split() == [str(symbol) for symbol in found.answer]
    for wrong in ([10] * 30, [0.5] * 30, [1] * 19, [[1] * 30]):
        with pytest.raises(ShapeError, match=r"copying: expected ids 0 to 9 \(time,\) of at least 20 steps, got an"):
            model.predict([wrong])
