"""Tagging as a task: learning, evaluation, saved runs, and errors for bad sentences."""

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noting import Notes
from recurra.config import resolve
from recurra.errors import DataError, RunError
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks.tagging.data import Batch, Encoded, collate
from recurra.tasks.tagging.task import Tagging, TaggingRecipe
from recurra.tasks.tagging.trained import TrainedTagger
from recurra.tasks.task import check_samples, fingerprint, load_data, restore
from trained import trained

CITIES = ("rome", "new york", "rio de janeiro", "york", "san jose")
FILLERS = ("please", "now", "well", "the", "a", "so", "then")
TINY = {
    "embedding_size": 9, "hidden_size": [11], "character_embedding_size": 5, "character_hidden_size": 6,
    "dropout": 0.0, "embedding_dropout": 0.0, "output_dropout": 0.0,
}  # fmt: skip


def trips(count: int, seed: int) -> list[tuple[list[str], list[str]]]:
    """The verb far before a city decides between leave and reach: no window of neighbors suffices."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        verb, city = draw.choice(("leave", "reach")), draw.choice(CITIES).split()
        before = [draw.choice(FILLERS) for _ in range(draw.randint(2, 4))]
        after = [draw.choice(FILLERS) for _ in range(draw.randint(0, 2))]
        outside = ["O"] * (1 + len(before))
        tags = [*outside, f"B-{verb}", *[f"I-{verb}"] * (len(city) - 1), *["O"] * len(after)]
        found.append(([verb, *before, *city, *after], tags))
    return found


def columns(sentences: list[tuple[list[str], list[str]]]) -> str:
    """Sentences as a file of columns."""
    return "\n".join("".join(f"{token} {tag}\n" for token, tag in zip(*one, strict=True)) for one in sentences)


def write_trips(folder: Path, counts: tuple[int, int, int] = (60, 30, 30)) -> Path:
    folder.mkdir(exist_ok=True)
    for seed, (split, count) in enumerate(zip(("train", "dev", "test"), counts, strict=True)):
        (folder / f"{split}.txt").write_text(columns(trips(count, seed)))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_trips(tmp_path / "trips")


def recipe_of(path: Path, model: dict[str, Any], training: dict[str, Any], data: dict[str, Any]) -> TaggingRecipe:
    values = {"data": {"path": str(path), **data}, "model": {**TINY, **model}, "training": training}
    return resolve(TaggingRecipe, values, {}, "test")


def start(path: Path, model: dict[str, Any] | None = None, progress: Progress | None = None, **data: Any) -> Tagging:
    torch.manual_seed(2)
    return Tagging.start(recipe_of(path, model or {}, {"batch_size": 6}, data), progress or Progress())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained tagger."""
    path = write_trips(tmp_path_factory.mktemp("trained") / "trips", (300, 40, 40))
    model = {"hidden_size": [16], "forget_bias": 1.0}
    training = {"batch_size": 16, "epochs": 6, "learning_rate": 0.02, "schedule": "constant"}
    return trained(recipe_of(path, model, training, {}), path.parent)


def test_learns_dependencies_over_several_tokens(run: Path) -> None:
    metrics = Run(run).read_json("metrics.json")
    assert set(metrics) == {"model", "majority", "word", "linear", "mlp", "training"}
    assert metrics["model"]["test"]["span_f1"] > 0.95
    assert metrics["linear"]["test"]["span_f1"] < 0.8
    assert metrics["majority"]["test"]["span_f1"] == 0
    assert metrics["majority"]["test"]["accuracy"] > 0.5
    history = Run(run).read_rows("history.jsonl")
    assert max(row["valid_span_f1"] for row in history) == metrics["model"]["valid"]["span_f1"]


def test_a_loaded_run_predicts_the_same(run: Path) -> None:
    model = TrainedTagger(Run(run))
    assert check_samples(model.task, model.run) < 1e-5
    left, reached = model.predict(["leave the so the so new york", "reach the so the so new york"])
    assert left.tags == ["O"] * 5 + ["B-leave", "I-leave"]
    assert reached.tags == ["O"] * 5 + ["B-reach", "I-reach"]
    assert model.evaluate()["model"] == Run(run).read_json("metrics.json")["model"]


def test_details_of_the_test_split(run: Path) -> None:
    details = Run(run).read_json("evaluation.json")["test"]
    metrics = Run(run).read_json("metrics.json")["model"]["test"]
    confusion = np.array(details["confusion"])
    assert np.trace(confusion) / confusion.sum() == pytest.approx(metrics["accuracy"])
    assert [row["label"] for row in details["classes"]] == ["leave", "reach"]
    assert sum(row["examples"] for row in details["classes"]) == 40


def test_the_worst_tokens_are_marked_in_their_sentence(folder: Path) -> None:
    task = start(folder)
    _, details = task.evaluate({"test": task.splits["test"]}, Progress())
    assert details["test"]["worst"]
    for row in details["test"]["worst"]:
        (sentence,) = [sentence for sentence in task.splits["test"] if sentence.place == row["place"]]
        (step,) = [step for step, token in enumerate(row["content"].split()) if token.startswith("[")]
        assert row["content"].replace("[", "").replace("]", "").split() == list(sentence.tokens)
        assert sentence.tags[step] == row["label"] != row["predicted"]


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("characters", [False, True])
def test_predictions_do_not_depend_on_the_batch(crf: bool, characters: bool, folder: Path) -> None:
    task = start(folder, {"crf": crf, "characters": characters})
    encoded = task.encoded["test"]
    together = task.predict(encoded, Progress())
    for index in (0, 7, 23):
        alone = Encoded([encoded.words[index]], [encoded.spellings[index]], encoded.characters, [encoded.tags[index]])
        (prediction,) = task.predict(alone, Progress())
        np.testing.assert_allclose(prediction.probabilities, together[index].probabilities, atol=1e-6)
        assert prediction.tags.tolist() == together[index].tags.tolist()
        assert prediction.loss == pytest.approx(together[index].loss, rel=1e-5)
        batch = collate(encoded, np.array([index]))
        assert task.loss(batch, None).mean.item() * len(prediction.tags) == pytest.approx(prediction.loss, rel=1e-5)


def test_loss_is_a_mean_over_tokens(folder: Path) -> None:
    task = start(folder)
    found = task.loss(task.batches(0)[2], None)
    indices = task.batches(0).buckets[2]
    assert found.num_items == sum(task.encoded["train"].lengths[index] for index in indices)
    predictions = task.predict(task.encoded["valid"], Progress())
    expected = sum(one.loss for one in predictions) / sum(len(one.tags) for one in predictions)
    assert task.validate(Progress())["loss"] == pytest.approx(expected)


@pytest.mark.parametrize("crf", [False, True])
def test_every_parameter_gets_a_gradient(crf: bool, folder: Path) -> None:
    task = start(folder, {"crf": crf})
    task.loss(task.batches(0)[0], None).mean.backward()
    for name, parameter in task.model.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_half_of_the_words_seen_once_are_replaced_by_unknown(tmp_path: Path) -> None:
    path = tmp_path / "rare.txt"
    path.write_text(columns([([f"Rare{n}", "often"], ["A", "B"]) for n in range(400)]))
    task = start(path)
    assert task.rare.sum() == len(task.splits["train"])
    plain, often = task.encoded["train"], task.lexicon.word_id("often")
    batches = task.batches(3)
    unknown = 0
    for index in range(len(batches)):
        batch, again = batches[index], task.batches(3)[index]
        assert torch.equal(batch.tokens.words, again.tokens.words), "a resumed epoch replaces other words"
        first, second = batch.tokens.words
        assert (second == often).all()
        original = collate(plain, batches.buckets[index]).tokens.words[0]
        assert ((first == original) | (first == 0)).all()
        unknown += int((first == 0).sum())
    share = unknown / len(plain.words)
    assert 0.4 < share < 0.6
    assert not all(torch.equal(task.batches(3)[i].tokens.words, task.batches(4)[i].tokens.words) for i in range(3))
    assert [ids.tolist() for ids in task.encoded["valid"].words] == [[0, often]] * len(task.splits["valid"])


def test_other_tags_are_compared_by_accuracy(tmp_path: Path) -> None:
    path = tmp_path / "pos.txt"
    path.write_text(columns([([f"w{n % 7}", "is"], [f"T{n % 3}", "V"]) for n in range(200)]))
    task = start(path)
    assert (task.primary_metric.name, task.selection_metric.name, task.constrained) == ("accuracy", "accuracy", False)
    assert task.validate(Progress()).keys() == {"loss", "accuracy", "macro_f1"}
    spans = start(write_trips(tmp_path / "trips"))
    assert (spans.primary_metric.name, spans.selection_metric.name, spans.constrained) == ("span_f1", "span_f1", True)


def test_unknown_tags_are_named_or_counted_as_wrong(folder: Path) -> None:
    text = (folder / "test.txt").read_text()
    (folder / "test.txt").write_text("rome B-stop\n\n" + text)
    with pytest.raises(DataError, match=r"test.txt line 1: tag 'B-stop' is none of the 5 that were trained on"):
        start(folder)
    task = start(folder, unknown_tags="wrong")
    predictions = task.predict(task.encoded["test"], Progress())
    assert predictions[0].loss is None
    metrics, details = task.evaluate({"test": task.splits["test"]}, Progress())
    known = [one.loss for one in predictions[1:]]
    tokens = sum(len(one.tags) for one in predictions[1:])
    assert metrics["test"]["loss"] == pytest.approx(sum(known) / tokens)
    assert metrics["test"]["tokens"] == tokens + 1
    assert len(details["test"]["confusion"]) == 6
    assert {row["label"] for row in details["test"]["classes"]} == {"leave", "reach", "stop"}


def test_other_sentences_may_have_other_columns_and_tags(run: Path, tmp_path: Path) -> None:
    turned = [[f"{tag} {token}" for token, tag in zip(*one, strict=True)] for one in trips(40, 9)]
    (tmp_path / "other.txt").write_text("\n\n".join("\n".join(lines) for lines in [*turned, ["B-stop rome"]]) + "\n")
    model, columns = TrainedTagger(Run(run)), {"token_column": 1, "tag_column": 0}
    with pytest.raises(DataError, match=r"tag 'B-stop' is none of .* with --unknown-tags wrong"):
        model.evaluate(tmp_path / "other.txt", **columns)
    found = model.evaluate(tmp_path / "other.txt", **columns, unknown_tags="wrong")
    assert found["model"]["all"]["tokens"] == sum(map(len, turned)) + 1
    assert 0.9 < found["model"]["all"]["span_f1"] < 1


def test_tags_that_break_bio(folder: Path) -> None:
    held_out = (folder / "test.txt").read_text()
    (folder / "test.txt").write_text("rome I-leave\n\n" + held_out)
    task = start(folder)
    assert task.constrained
    predictions = task.predict(task.encoded["test"], Progress())
    assert predictions[0].loss is None
    assert predictions[1].loss is not None
    (folder / "train.txt").write_text("rome I-leave\n\n" + (folder / "train.txt").read_text())
    notes = Notes()
    task = start(folder, progress=notes)
    assert not task.constrained
    assert "train.txt line 1" in notes.lines[0]
    for index in range(len(task.batches(0))):
        assert torch.isfinite(task.loss(task.batches(0)[index], None).mean)
    assert all(one.loss is not None for one in task.predict(task.encoded["test"], Progress()))


def test_words_start_from_given_vectors(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    rows = {"rome": 1.5, "Leave": 2.5, "paris": 3.5, "leave": 4.5}
    path.write_text("".join(f"{word} {' '.join([str(value)] * 9)}\n" for word, value in rows.items()))
    notes = Notes()
    task = start(folder, progress=notes, vectors=str(path))
    num_words = len(set((folder / "train.txt").read_text().split()) - set(task.labels))
    assert f"has vectors of 2 of the {num_words} training words" in notes.lines[0]
    for word, value in (("rome", 1.5), ("LEAVE", 4.5), ("Paris", 3.5)):
        assert task.model.embedding.weight[task.lexicon.word_id(word)].tolist() == [value] * 9
    assert task.lexicon.num_words == num_words + 2
    recipe = recipe_of(folder, {}, {"batch_size": 6, "epochs": 1}, {"vectors": str(path)})
    run = Run(trained(recipe, tmp_path))
    restored = restore(Tagging, run)
    assert isinstance(restored, Tagging)
    assert restored.lexicon.word_id("paris") == task.lexicon.word_id("paris") > 0
    path.unlink()
    load_data(restored, run, Progress())
    assert fingerprint(restored) == fingerprint(task)


def test_one_tag_only(tmp_path: Path) -> None:
    path = tmp_path / "same.txt"
    path.write_text(columns([([f"w{n}", "is"], ["X", "X"]) for n in range(60)]))
    with pytest.raises(DataError, match="all training tokens have the tag 'X'"):
        start(path)
    found = Tagging.check(recipe_of(path, {}, {}, {}), Progress())
    assert "all of train has the tag 'X': training refuses it, it takes two" in found["problems"]


def test_a_run_of_another_shape_is_refused(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "changed")
    recipe = (tmp_path / "changed" / "recipe.toml").read_text()
    (tmp_path / "changed" / "recipe.toml").write_text(recipe.replace("crf = true", "crf = false"))
    with pytest.raises(RunError, match="describe different models"):
        restore(Tagging, Run(tmp_path / "changed"))


def test_check_lists_problems(folder: Path) -> None:
    train = trips(60, 0)
    more = [(["leave", "Rome"], ["I-leave", "B-stop"]), train[0]]
    (folder / "test.txt").write_text(columns([*more, *trips(30, 2)]))
    found = Tagging.check(recipe_of(folder, {}, {}, {}), Progress())
    test = found["splits"]["test"]
    assert (test["sentences"], test["shortest"]) == (32, 2)
    assert test["tokens"] == sum(len(tokens) for tokens, _ in [*more, *trips(30, 2)])
    assert test["unseen"] == 0
    assert found["tags"]["B-stop"] == {"train": 0, "valid": 0, "test": 1}
    assert found["tags"]["B-leave"]["train"] == sum("B-leave" in tags for _, tags in train)
    problems = "\n".join(found["problems"])
    assert "in train too: 1 sentence of test, such as" in problems
    assert "with a tag that train lacks: 1 token of test, such as 'B-stop' at" in problems
    assert "with an I- tag that follows no tag of its type: 1 sentence of test" in problems


def test_a_batch_lists_each_spelling_once(folder: Path) -> None:
    task = start(folder)
    batch: Batch = task.batches(0)[1]
    sentences = [task.splits["train"][index].tokens for index in task.batches(0).buckets[1]]
    alphabet = ["", *task.lexicon.characters]
    for column, tokens in enumerate(sentences):
        for step, token in enumerate(tokens):
            spelling = int(batch.tokens.spellings[step, column])
            length = int(batch.tokens.character_lengths[spelling])
            assert "".join(alphabet[id] for id in batch.tokens.characters[:length, spelling]) == token
    assert batch.tokens.characters.shape[1] == len({token for tokens in sentences for token in tokens})
