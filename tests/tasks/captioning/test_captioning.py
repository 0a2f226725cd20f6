"""Captioning as a task: that it learns, judges fairly, comes back from its folder, and refuses bad pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu
import torch

import recurra
from recurra.config import resolve
from recurra.data.media.pictures import Picture
from recurra.decoding.beam import BeamOptions, build_search
from recurra.errors import DataError, UsageError
from recurra.models.captioner import Captioner, CaptionerOptions, CaptionerShape
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks import seq2seq
from recurra.tasks.captioning.task import Captioning, CaptioningRecipe
from recurra.tasks.captioning.trained import TrainedCaptioner
from recurra.tasks.task import check_samples
from trained import trained

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (128, 128, 128)}
SIZE = 8, 24  # pixels
SILENT = {"dropout": 0.0, "embedding_dropout": 0.0, "output_dropout": 0.0}
TINY = {**SILENT, "channels": [5, 7], "embedding_size": 6, "hidden_size": [9]}

Image = pytest.importorskip("PIL.Image", reason="reading images takes Pillow")


def write_flags(folder: Path, counts: tuple[int, int, int] = (40, 12, 14)) -> Path:
    """Three colors side by side, told from left to right; some flags are told in two ways."""
    rng = np.random.default_rng(5)
    folder.mkdir(exist_ok=True)
    rows = ["image,caption,split"]
    for split, count in zip(("train", "valid", "test"), counts, strict=True):
        for number in range(count):
            names = rng.choice(list(COLORS), 3)
            stripes = [np.full((8, 8, 3), COLORS[name], np.uint8) for name in names]
            Image.fromarray(np.concatenate(stripes, 1)).save(folder / f"{split}{number}.png")
            rows.append(f"{split}{number}.png,{' '.join(names)},{split}")
            if number % 3 == 0:
                rows.append(f"{split}{number}.png,a flag of {' '.join(names)},{split}")
    (folder / "captions.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_flags(tmp_path / "flags")


def recipe_of(path: Path, **options: Any) -> CaptioningRecipe:
    values: dict[str, Any] = {
        "data": {"path": str(path), "image_size": list(SIZE), "color": True, **options.get("data", {})},
        "model": {**TINY, **options.get("model", {})},
        "training": {"batch_size": 6, **options.get("training", {})},
    }
    return resolve(CaptioningRecipe, values, {}, "test")


def start(path: Path, **options: Any) -> Captioning:
    torch.manual_seed(2)
    return Captioning.start(recipe_of(path, **options), Progress())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained captioner."""
    path = write_flags(tmp_path_factory.mktemp("trained") / "flags", (500, 30, 40))
    model = {"channels": [12, 16], "embedding_size": 24, "hidden_size": [32]}
    training = {"batch_size": 16, "epochs": 6, "learning_rate": 0.01, "select_by": "loss"}
    return trained(recipe_of(path, model=model, training=training), path.parent)


def test_learns_to_tell_what_is_seen_and_where(run: Path) -> None:
    metrics = Run(run).read_json("metrics.json")
    assert set(metrics) == {"model", "frequent", "nearest", "training"}
    assert metrics["model"]["test"]["exact"] > 0.9
    assert metrics["frequent"]["test"]["exact"] < 0.2


def test_a_loaded_run_writes_the_same(run: Path) -> None:
    model = TrainedCaptioner(Run(run))
    assert check_samples(model.task, model.run) < 1e-5
    assert model.evaluate()["model"] == Run(run).read_json("metrics.json")["model"]


def test_pictures_that_are_all_for_the_test_judge_a_model(run: Path, tmp_path: Path) -> None:
    other = write_flags(tmp_path / "other", (0, 0, 20))
    found = TrainedCaptioner(Run(run)).evaluate(other)
    assert set(found) == {"model", "frequent", "nearest"}
    assert all(list(splits) == ["test"] for splits in found.values())
    assert found["model"]["test"]["pictures"] == 20
    assert found["model"]["test"]["exact"] > 0.9


def test_a_caption_is_exact_whatever_the_space_around_its_punctuation(folder: Path) -> None:
    task = start(folder)
    pictures = [Picture(np.zeros((*SIZE, 3), np.uint8), ("a dog ( big ) runs .",), "", "")]
    assert seq2seq.scores(task, pictures, ["a dog (big) runs."]).figures["exact"] == 1
    assert seq2seq.scores(task, pictures, ["a dog big runs."]).figures["exact"] == 0


def test_scores_count_every_caption_of_a_picture(run: Path) -> None:
    model = TrainedCaptioner(Run(run))
    model.task.set_data(model.task.read_data(Progress()))
    pictures = model.task.splits["test"]
    outputs = [found.text for found in model.caption([picture.content for picture in pictures])]
    second = [picture.captions[1] if len(picture.captions) > 1 else None for picture in pictures]
    references = [[picture.captions[0] for picture in pictures], second]
    metrics = Run(run).read_json("metrics.json")["model"]["test"]
    assert metrics["bleu"] == pytest.approx(sacrebleu.corpus_bleu(outputs, references).score)
    exact = sum(output in picture.captions for output, picture in zip(outputs, pictures, strict=True))
    assert metrics["exact"] == exact / len(pictures)
    assert metrics["pictures"] == len(pictures) == 40


def test_a_file_is_read_as_in_training_and_looked_at_by_cells(run: Path) -> None:
    model = TrainedCaptioner(Run(run))
    model.task.set_data(model.task.read_data(Progress()))
    file = run.parent / "flags" / "test4.png"
    (found,) = model.caption([file], num_best=3)
    content = model.task.splits["test"][4].content
    with Image.open(file) as opened:
        again, a_third = model.caption([content, opened])
    assert found.text == again.text == a_third.text
    assert set(found.view) == {"tokens", "grid", "weights"}
    assert len(found.texts) == 3
    assert found.view["grid"] == [2, 6]
    weights = np.array(found.view["weights"])
    assert weights.shape == (len(found.view["tokens"]), 12)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    for one in found.texts:
        outputs = model.task.outputs_of({"image": content.tolist(), "caption": one.text})
        assert sum(outputs) == pytest.approx(one.log_probability, abs=1e-4)


def test_an_array_of_another_shape_and_the_size_of_files(run: Path, tmp_path: Path) -> None:
    model = TrainedCaptioner(Run(run))
    with pytest.raises(UsageError, match=r"predict: expected bytes \(8, 24, 3\), got uint8 \(8, 24, 1\)"):
        model.caption([np.zeros((8, 24, 1), np.uint8)])
    with pytest.raises(UsageError, match=r"expected bytes \(8, 24, 3\), got float32 \(8, 24, 3\)$"):
        model.caption([np.zeros((8, 24, 3), np.float32)])
    with pytest.raises(UsageError, match=r"got uint8 \(9, 24, 3\); give its file, or resize it to \(8, 24\)$"):
        model.caption([np.zeros((9, 24, 3), np.uint8)])
    with pytest.raises(UsageError, match="expected image files, images that Pillow has opened, or arrays, got Tensor"):
        model.caption([torch.zeros(8, 24, 3)])  # type: ignore[list-item]
    with pytest.raises(UsageError, match=r"expected a list, got one image; write predict\(\[image\]\)"):
        model.caption(Image.new("L", (24, 8)))
    with pytest.raises(UsageError, match=r"expected a list, got one path; write predict\(\['new\.png'\]\)"):
        model.caption(Path("new.png"))  # type: ignore[arg-type]
    assert model.caption([]) == []
    Image.fromarray(np.zeros((16, 48), np.uint8)).save(tmp_path / "grey.png")
    assert model.content_of(tmp_path / "grey.png").shape == (8, 24, 3)


@pytest.mark.parametrize(
    "options",
    [{}, {"attention": "none", "inject": "input"}, {"attention": "dot", "channels": [5, 9]}, {"row_hidden_size": 4}],
)
def test_every_parameter_learns(options: dict[str, Any], folder: Path) -> None:
    task = start(folder, model=options)
    task.loss(task.batches(0)[0], None).mean.backward()
    for name, parameter in task.model.named_parameters():
        if options.get("attention") == "none" and name == "encoder.places":
            continue  # the mean of all cells is the same wherever they are, but for a constant
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_pictures_are_bent_in_training_alone(folder: Path) -> None:
    bent, plain = (start(folder, model={"warp": most, "memory_dropout": 0.0}) for most in (2.0, 0.0))
    plain.model.load_state_dict(bent.model.state_dict())
    images = torch.randint(256, (9, *bent.image_shape), dtype=torch.uint8)
    once, again, as_it_is = (model.encoder(images) for model in (bent.model, bent.model, plain.model))
    assert (once - again).abs().amax((0, 2)).min() > 0.01  # each image, each time anew
    assert (once - as_it_is).abs().amax((0, 2)).min() > 0.01
    assert torch.equal(bent.model.eval().encoder(images), as_it_is)


def test_a_resumed_run_ends_in_the_same_weights(folder: Path, tmp_path: Path) -> None:
    options = {"data": {"path": str(folder), "image_size": list(SIZE), "color": True}, "model": TINY, "epochs": 2}
    options |= {"batch_size": 6, "word_dropout": 0.2}
    whole = recurra.train("captioning", run=tmp_path / "whole", progress=Progress(), **options)
    parts = recurra.train("captioning", run=tmp_path / "parts", progress=Progress(), steps=12, **options)
    recurra.resume(parts, progress=Progress(), steps=None)
    one, other = (Run(folder).read_tensors("last/checkpoint.safetensors").tensors for folder in (whole, parts))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_pictures_do_not_depend_on_their_neighbors(folder: Path) -> None:
    task = start(folder)
    for parameter in task.model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    sources = task.encoded["test"].sources
    for rules in (BeamOptions(1), BeamOptions(3)):
        together = seq2seq.generate(task, sources, build_search(rules), Progress())
        for index in (0, 5, 13):
            ((alone,),) = seq2seq.generate(
                task, replace(sources, contents=sources.contents[index : index + 1]), build_search(rules), Progress()
            )
            assert alone.tokens == together[index][0].tokens
            assert alone.score == pytest.approx(together[index][0].score, rel=1e-5)


def test_every_caption_is_trained_on_with_its_own_picture(folder: Path) -> None:
    task = start(folder)
    captions = [caption for picture in task.splits["train"] for caption in picture.captions]
    assert len(captions) == 54
    batches, seen = task.batches(0), 0
    for index in range(len(batches)):
        (images,), targets = batches[index].source, batches[index].targets
        for column, image in enumerate(images.numpy()):
            ids = [id for id in targets[:, column].tolist() if id >= 0][:-1]
            owners = [picture for picture in task.splits["train"] if (picture.content == image).all()]
            assert task.vocabulary.decode(ids) in [caption for picture in owners for caption in picture.captions]
            seen += 1
    assert seen == 54
    again = task.batches(0)[1]
    assert torch.equal(again.targets, batches[1].targets)
    assert torch.equal(again.source[0], batches[1].source[0])


def test_features_computed_before_are_another_door(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    captions = np.array([f"w{n % 5} w{n % 3}" for n in range(60)])
    np.savez(tmp_path / "features.npz", features=rng.standard_normal((60, 4, 6)).astype(np.float32), captions=captions)
    task = start(tmp_path / "features.npz")
    assert task.image_shape == (4, 6)
    assert task.validate(Progress())["loss"] > 0
    sample = task.samples()[0]
    assert len(task.outputs_of(sample)) == 3
    task.loss(task.batches(0)[0], None).mean.backward()


def test_other_pictures_than_the_model_reads(folder: Path) -> None:
    task = start(folder)
    with pytest.raises(DataError, match=r"here: of shape \(3, 4, 1\), but the model reads \(8, 24, 3\)"):
        task.encode([Picture(np.zeros((3, 4, 1), np.uint8), ("a",), "here", "a")])
    with pytest.raises(UsageError, match="leave nothing of 8 x 24 pixels"):
        Captioner(CaptionerShape((8, 24, 3), 9, 5), CaptionerOptions(channels=[4, 4, 4, 4]))


@pytest.mark.parametrize("size", [32, [32], [32, 32, 3], "32x32"])
def test_a_size_of_one_number_or_three(size: object) -> None:
    with pytest.raises(UsageError, match=r"data\.image_size: expected height,width such as 32,32, got "):
        recipe_of(Path("here"), data={"image_size": size})


def test_check_tells_counts_and_leaks(folder: Path) -> None:
    (folder / "test3.png").write_bytes((folder / "train7.png").read_bytes())
    found = Captioning.check(recipe_of(folder), Progress())
    assert found["splits"]["train"] == {"pictures": 40, "captions": 54, "median words": 3, "longest": 6}
    (problem,) = [text for text in found["problems"] if " of test, such as " in text]
    assert problem.startswith("in train too: 7 pictures")
    assert "captions.csv line" in problem
