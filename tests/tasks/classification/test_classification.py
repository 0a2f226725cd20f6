"""Classification as a task: that it learns, judges fairly, comes back from its folder, and refuses bad examples."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recurra
from recurra.config import resolve
from recurra.errors import DataError, RunError, ShapeError, UsageError
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks.classification.task import Classification, ClassificationRecipe, Encoded, collate
from recurra.tasks.classification.trained import TrainedClassifier
from recurra.tasks.task import check_samples

PLACES = ("paris", "rome", "oslo", "lima")
FILLERS = ("please", "now", "well", "the", "a", "so", "then")
NARROW = {"hidden_size": [9], "dropout": 0.0, "output_dropout": 0.0}
TINY = {**NARROW, "embedding_size": 7, "embedding_dropout": 0.0}


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Which of two places comes first is the label: a bag of words cannot know."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        first, second = draw.sample(PLACES[:2], 2)
        words = [draw.choice(FILLERS) for _ in range(draw.randint(3, 9))]
        positions = sorted(draw.sample(range(len(words) + 1), 2))
        words.insert(positions[0], first)
        words.insert(positions[1] + 1, second)
        found.append((first, " ".join(words)))
    return found


COLUMNS = ("series", "t", "a", "b", "label")


@pytest.fixture
def places(tmp_path: Path) -> Path:
    folder = tmp_path / "places"
    folder.mkdir()
    for split, count, seed in (("train", 240, 1), ("valid", 40, 2), ("test", 40, 3)):
        rows = "".join(f"{label},{text}\n" for label, text in sentences(count, seed))
        (folder / f"{split}.csv").write_text(f"label,text\n{rows}")
    return folder


def start(path: Path, model: dict[str, Any] | None = None, **data: Any) -> Classification:
    own = NARROW if path.suffix == ".npz" or "id_column" in data else TINY
    values = {"data": {"path": str(path), **data}, "model": {**own, **(model or {})}, "training": {"batch_size": 6}}
    torch.manual_seed(2)
    return Classification.start(resolve(ClassificationRecipe, values, {}, "test"), Progress())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained classifier."""
    folder = tmp_path_factory.mktemp("classification")
    rows = "".join(f"{label}\t{text}\n" for label, text in sentences(400, 5))
    (folder / "places.txt").write_text(rows)
    return recurra.train(
        "classification", folder / "places.txt", run=folder / "run", progress=Progress(),
        epochs=12, learning_rate=0.02, batch_size=16, pooling="attention", **TINY,
    )  # fmt: skip


def test_learns_what_needs_order(run: Path) -> None:
    metrics = Run(run).read_json("metrics.json")
    assert metrics["model"]["test"]["accuracy"] > 0.95
    assert metrics["majority"]["test"]["accuracy"] < 0.75
    assert set(metrics) == {"model", "majority", "linear", "mlp", "training"}


def test_a_loaded_run_predicts_the_same(run: Path) -> None:
    model = recurra.load(run)
    assert isinstance(model, TrainedClassifier)
    assert check_samples(model.task, model.run) < 1e-6
    found = model.predict(["so paris then rome", "so rome then paris"])
    assert [one.label for one in found] == ["paris", "rome"]
    assert sum(found[0].probabilities.values()) == pytest.approx(1)
    assert found[0].probability == max(found[0].probabilities.values())
    assert len(found[0].attention or []) == 4
    assert sum(found[0].attention or []) == pytest.approx(1)
    again = model.evaluate(progress=Progress())
    assert again["model"] == Run(run).read_json("metrics.json")["model"]


def test_details_of_the_test_split_add_up(run: Path) -> None:
    details = Run(run).read_json("evaluation.json")["test"]
    metrics = Run(run).read_json("metrics.json")["model"]["test"]
    confusion = np.array(details["confusion"])
    assert confusion.sum() == metrics["examples"]
    assert np.trace(confusion) / confusion.sum() == pytest.approx(metrics["accuracy"])
    wrong = int(confusion.sum() - np.trace(confusion))
    assert len(details["worst"]) == min(wrong, 20)
    assert all(row["predicted"] != row["label"] and "line" in row["place"] for row in details["worst"])


def test_a_resumed_run_ends_in_the_same_weights(places: Path, tmp_path: Path) -> None:
    options = {"epochs": 2, "batch_size": 16, **TINY}
    whole = recurra.train("classification", places, run=tmp_path / "whole", progress=Progress(), **options)
    parts = recurra.train("classification", places, run=tmp_path / "parts", progress=Progress(), steps=19, **options)
    recurra.resume(parts, progress=Progress(), steps=None)
    one, other = (Run(folder).read_tensors("last/checkpoint.safetensors").tensors for folder in (whole, parts))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "mlp"])
@pytest.mark.parametrize("read_out", ["last", "attention"])
def test_predictions_do_not_depend_on_the_batch(cell: str, read_out: str, places: Path) -> None:
    task = start(places, {"cell": cell, "pooling": read_out})
    encoded = task.encoded["test"]
    together = task.probabilities(encoded, Progress())
    for index in (0, 7, 23):
        alone = Encoded([encoded.sequences[index]], encoded.targets[[index]])
        np.testing.assert_allclose(task.probabilities(alone, Progress())[0], together[index], atol=1e-6)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "mlp"])
def test_every_parameter_learns(cell: str, places: Path) -> None:
    task = start(places, {"cell": cell, "pooling": "attention"})
    task.loss(task.batches(0)[0], None).mean.backward()
    for name, parameter in task.model.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_balanced_weights_make_rare_labels_count_alike(tmp_path: Path) -> None:
    path = tmp_path / "few.txt"
    path.write_text("".join(f"{'rare' if i % 10 == 0 else 'usual'}\tword{i} is here\n" for i in range(300)))
    task = start(path)
    weights, counts = task.class_weights().numpy(), np.bincount(task.encoded["train"].targets)
    np.testing.assert_allclose(weights * counts, counts.sum() / 2, rtol=1e-6)
    task.recipe = resolve(
        ClassificationRecipe, task.recipe.model_dump(), {"training.class_weights": "balanced"}, "test"
    )
    batch = collate(task.encoded["train"], np.arange(12))
    logits = task.predict(batch).logits
    nats = torch.nn.functional.cross_entropy(logits, batch.targets, reduction="none")
    each = torch.tensor(weights)[batch.targets]
    torch.testing.assert_close(task.loss(batch, None).mean, (nats * each).sum() / each.sum())


def test_an_unknown_label_is_named_or_counted_as_wrong(places: Path) -> None:
    text = (places / "test.csv").read_text()
    (places / "test.csv").write_text(text + "bern,so bern then rome\n")
    with pytest.raises(DataError, match=r"test.csv line 42: label 'bern' is none of the 2 that were trained on"):
        start(places)
    task = start(places, unknown_labels="wrong")
    assert list(task.encoded["test"].targets).count(-1) == 1
    metrics, details = task.evaluate({"test": task.splits["test"]}, Progress())
    assert metrics["test"]["examples"] == 41
    assert len(details["test"]["confusion"]) == 3


def test_other_examples_may_have_other_columns_and_labels(run: Path, tmp_path: Path) -> None:
    rows = "".join(f"{text},{label}\n" for label, text in [*sentences(40, 9), ("bern", "so bern then rome")])
    (tmp_path / "other.csv").write_text(f"words,place\n{rows}")
    model, columns = recurra.load(run), {"label_column": "place", "text_column": "words"}
    with pytest.raises(DataError, match=r"other.csv line 42: label 'bern' is none of .* with --unknown-labels wrong"):
        model.evaluate(tmp_path / "other.csv", **columns)
    found = model.evaluate(tmp_path / "other.csv", **columns, unknown_labels="wrong")
    assert found["model"]["all"]["examples"] == 41
    assert 0.9 < found["model"]["all"]["accuracy"] <= 40 / 41
    with pytest.raises(UsageError, match="the model was trained on a part of it"):
        model.evaluate(**columns)


@pytest.fixture
def waves(tmp_path: Path) -> Path:
    """Two channels of noise; the label is whether the first leads or follows the second."""
    random = np.random.default_rng(3)
    lengths = random.integers(12, 20, 200)
    values = np.zeros((200, 20, 2))
    for row, steps in zip(values, lengths, strict=True):
        row[:steps] = 50 + 9 * random.normal(size=(steps, 2))
    leads = random.random(200) < 0.5
    values[leads, 1:, 1] = values[leads, :-1, 0]
    values[~leads, 1:, 0] = values[~leads, :-1, 1]
    np.savez(tmp_path / "waves.npz", x=values, y=np.where(leads, "leads", "follows"), lengths=lengths)
    return tmp_path / "waves.npz"


def test_series_are_learned_and_read_back(waves: Path, tmp_path: Path) -> None:
    run = recurra.train(
        "classification", waves, run=tmp_path / "run", progress=Progress(),
        epochs=25, learning_rate=0.02, batch_size=16, hidden_size=[12], output_dropout=0.0,
    )  # fmt: skip
    metrics = Run(run).read_json("metrics.json")
    assert metrics["model"]["test"]["accuracy"] > 0.9
    assert metrics["linear"]["test"]["accuracy"] < 0.8
    model = recurra.load(run)
    assert isinstance(model, TrainedClassifier)
    assert check_samples(model.task, model.run) < 1e-6
    normalized = np.concatenate(list(start(waves).encoded["train"].sequences))
    np.testing.assert_allclose(normalized.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(normalized.std(0), 1, atol=1e-5)
    names, contents = zip(*model.task.inputs.read(str(waves), [], {}), strict=True)
    assert len(set(names)) == 200
    right = [one.label for one in model.predict(contents)] == np.load(waves)["y"]
    assert right.mean() > 0.9


@pytest.mark.parametrize("cell", ["gru", "mlp"])
def test_padding_of_series_does_not_matter(cell: str, waves: Path) -> None:
    task = start(waves, {"cell": cell, "pooling": "attention"})
    encoded = task.encoded["train"]
    together = task.probabilities(encoded, Progress())
    for index in (0, 11):
        alone = Encoded([encoded.sequences[index]], encoded.targets[[index]])
        np.testing.assert_allclose(task.probabilities(alone, Progress())[0], together[index], atol=1e-6)


def test_one_label_only(tmp_path: Path) -> None:
    path = tmp_path / "same.txt"
    path.write_text("".join(f"yes\tnumber {i}\n" for i in range(60)))
    with pytest.raises(DataError, match="all training examples have the label 'yes'"):
        start(path)


def test_empty_texts_are_named_or_left_out(places: Path) -> None:
    text = (places / "train.csv").read_text()
    (places / "train.csv").write_text(text + "rome,\n,so oslo\n")
    with pytest.raises(DataError, match=r"train.csv line 242: no text or no label \(2 such examples\)"):
        start(places)
    assert len(start(places, on_bad="drop").splits["train"]) == 240


def test_a_run_of_another_shape_is_refused(run: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(run, tmp_path / "changed")
    recipe = (tmp_path / "changed" / "recipe.toml").read_text()
    (tmp_path / "changed" / "recipe.toml").write_text(recipe.replace("embedding_size = 7", "embedding_size = 8"))
    with pytest.raises(RunError, match="describe different models"):
        recurra.load(tmp_path / "changed")


def test_channels_are_told_apart_by_their_names(tmp_path: Path) -> None:
    """The same table with its columns in another order is the same; a model is no judge of other channels."""
    random = np.random.default_rng(5)
    rows = [(n, step, random.normal() + 3 * (n % 2), random.normal(), "hi" if n % 2 else "lo") for n in range(60)
            for step in range(5)]  # fmt: skip
    (tmp_path / "train.csv").write_text("".join(f"{','.join(map(str, row))}\n" for row in [COLUMNS, *rows]))
    turned = [(n, step, b, a, label) for n, step, a, b, label in rows]
    heads = {"turned": ("series", "t", "b", "a", "label"), "other": ("series", "t", "b", "c", "label")}
    for name, head in heads.items():
        (tmp_path / f"{name}.csv").write_text("".join(f"{','.join(map(str, row))}\n" for row in [head, *turned]))
    run = recurra.train(
        "classification", tmp_path / "train.csv", run=tmp_path / "run", progress=Progress(), time_column="t",
        epochs=15, learning_rate=0.02, hidden_size=[8], output_dropout=0.0,
    )  # fmt: skip
    model = recurra.load(run)
    assert Run(run).read_model()["preprocessor"]["channels"] == ["a", "b"]
    metrics = model.evaluate(tmp_path / "turned.csv")
    assert metrics["model"]["all"]["accuracy"] > 0.95
    assert metrics["model"]["all"]["examples"] == 60
    with pytest.raises(DataError, match=r"no column 'a' for --channels; it has series, t, b, c, label"):
        model.evaluate(tmp_path / "other.csv")
    own = model.evaluate(tmp_path / "train.csv")
    assert own == model.evaluate(), "training examples judge the model"
    with pytest.raises(DataError, match="series: b has no finite value at step 2"):
        model.predict([np.array([[1, 2], [3, np.nan]])])
    with pytest.raises(ShapeError, match=r"expected measurements \(time, channels\), got an array \(3,\)"):
        model.predict([[1, 2, 3]])
    assert model.predict([[[3.0, 0.0]] * 5])[0].label == "hi"


def check(path: Path, **data: Any) -> list[str]:
    recipe = resolve(ClassificationRecipe, {"data": {"path": str(path), **data}, "model": TINY}, {}, "test")
    problems: list[str] = Classification.check(recipe, Progress())["problems"]
    return problems


def test_check_says_what_to_look_at(places: Path) -> None:
    assert check(places) == []
    train, test = ((places / f"{split}.csv").read_text().splitlines() for split in ("train", "test"))
    other = {"rome": "paris", "paris": "rome"}[test[1].split(",")[0]]
    (places / "train.csv").write_text(
        "\n".join([*train, train[1], train[5], f"{other},{test[1].split(',')[1]}", "oslo,so"])
    )
    (places / "test.csv").write_text("\n".join([*test, train[2], "lima,now"]))
    found = check(places)
    assert found == [
        f"repeated within train: 2 examples, such as {places / 'train.csv'} line 242",
        f"in train too: 2 examples of test, such as {places / 'test.csv'} line 2; test is easier than new data would "
        "be",
        f"with different labels: 1 example, such as {other!r} at {places / 'train.csv'} line 244 and "
        f"{test[1].split(',')[0]!r} at {places / 'test.csv'} line 2",
        "hardly in train: 1 label with fewer than 5 examples there: oslo",
        f"with a label that train lacks: 1 example of test, such as 'lima' at {places / 'test.csv'} line 43; "
        "training refuses them without --unknown-labels wrong",
        "valid has no example of 'oslo', so it tells nothing of them",
        "test has no example of 'oslo', so it tells nothing of them",
    ]
    assert "line 43; they count as wrong" in check(places, unknown_labels="wrong")[4]


def test_check_tells_that_one_label_is_too_few(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("".join(f"rome\tgo to number {n}\n" for n in range(60)))
    assert "all of train has the label 'rome': training refuses it, it takes two" in check(tmp_path / "one.txt")


def test_labels_to_keep(places: Path) -> None:
    rows = (places / "train.csv").read_text()
    (places / "train.csv").write_text(rows + "oslo,the well\n" * 7)
    task = start(places, labels=["rome", "oslo"])
    assert task.labels == ["oslo", "rome"]
    kept = [line for line in rows.splitlines() if line.startswith("rome,")]
    assert [len(task.splits["train"]), len(task.splits["test"])] == [len(kept) + 7, sum(
        label == "rome" for label, _ in sentences(40, 3))]  # fmt: skip
    (places / "other.csv").write_text("label,text\nparis,so paris\n")
    with pytest.raises(DataError, match=r"other.csv: no examples labelled rome or oslo to evaluate on"):
        task.read_held_out(places / "other.csv", {}, Progress())
    with pytest.raises(DataError, match="places: no label 'york'; it has oslo, paris, rome"):
        start(places, labels=["rome", "york"])


def test_keys_about_other_examples_are_refused(places: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"window: is about series, and .*places holds texts; leave it out"):
        start(places, window=5)
    with pytest.raises(UsageError, match="noise: is about series"):
        start(places, model={"noise": 0.2})
    lines = [",".join(COLUMNS), *(f"{n},{t},{t},{n},{'hi' if n % 2 else 'lo'}" for n in range(40) for t in range(4))]
    (tmp_path / "series.csv").write_text("\n".join(lines))
    with pytest.raises(UsageError, match=r"unit: is about texts, and .*series.csv holds series"):
        start(tmp_path / "series.csv", id_column="series", unit="character")
    with pytest.raises(UsageError, match="text_column: is about texts"):
        start(tmp_path / "series.csv", id_column="series", text_column="body")
    with pytest.raises(UsageError, match="embedding_size: is about texts"):
        start(tmp_path / "series.csv", id_column="series", model={"embedding_size": 7})
