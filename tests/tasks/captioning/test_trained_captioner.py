"""A captioner in use: image files, opened images, arrays, files of features, and answers as text, JSON and charts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra
from recurra.errors import DataError, ShapeError, UsageError
from recurra.progress import Progress
from recurra.tasks.captioning.page import shaded
from recurra.tasks.captioning.trained import TrainedCaptioner

Image = pytest.importorskip("PIL.Image", reason="reading images takes Pillow")

SIZES = {"embedding_size": 6, "hidden_size": [9], "batch_size": 8, "steps": 3}


def train(path: Path, run: Path, **options: Any) -> TrainedCaptioner:
    """A captioner after a few steps of training."""
    model: TrainedCaptioner = recurra.load(
        recurra.train("captioning", path, run=run, progress=Progress(), **SIZES, **options)
    )
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of two shades."""
    folder = tmp_path_factory.mktemp("shades")
    rows = ["image,caption"]
    for number in range(40):
        pixels = np.full((6, 10), 60 + 150 * (number % 2), np.uint8)
        pixels[:, number % 10] = 0
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append(f"{number}.png,all {'light' if number % 2 else 'dark'}")
    (folder / "captions.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> TrainedCaptioner:
    return train(folder, folder / "run", image_size=[6, 10], channels=[5])


@pytest.fixture(scope="module")
def of_features(folder: Path) -> TrainedCaptioner:
    """A captioner of features, without attention."""
    features = np.random.default_rng(3).normal(size=(40, 3, 4))
    captions = np.array([f"w{number % 5} w{number % 3}" for number in range(40)])
    np.savez(folder / "features.npz", features=features, captions=captions)
    return train(folder / "features.npz", folder / "features-run", attention="none", max_tokens=2)


def test_files_opened_images_and_arrays_are_the_same(model: TrainedCaptioner, folder: Path) -> None:
    name = str(folder / "3.png")
    with Image.open(name) as opened:
        answers = model.predict([name, Path(name), opened, np.asarray(opened)[..., None]])
    assert [one.image for one in answers] == [name, name, "", ""]
    assert len({one.text for one in answers}) == 1
    assert len({one.texts[0].log_probability for one in answers}) == 1
    (alone,) = model.caption([name])
    assert alone.text == answers[0].text
    assert alone.texts[0].log_probability == pytest.approx(answers[0].texts[0].log_probability, rel=1e-5)
    assert (model.plots, model.reads_files, model.batch_size) == ("asked", True, 64)


def test_a_folder_stands_for_the_files_that_the_model_reads(
    model: TrainedCaptioner, of_features: TrainedCaptioner
) -> None:
    assert {".png", ".jpg", ".gif"} < set(model.endings)
    assert of_features.endings == (".npz",)


def test_a_file_of_features_has_many_images(of_features: TrainedCaptioner, tmp_path: Path) -> None:
    features = np.random.default_rng(4).normal(size=(3, 3, 4))
    np.savez(tmp_path / "new.npz", features=features)
    answers = of_features.predict([tmp_path / "new.npz"])
    assert [one.image for one in answers] == [f"{tmp_path / 'new.npz'} image {number}" for number in (1, 2, 3)]
    alone = of_features.predict([cells.astype(np.float32) for cells in features])
    assert [one.text for one in answers] == [one.text for one in alone]
    np.savez(tmp_path / "other.npz", features=features[:, :, :2])
    message = rf"other\.npz image 1: features \(3, 2\), but {of_features.run} reads \(3, 4\) of each image"
    with pytest.raises(DataError, match=message):
        of_features.predict([tmp_path / "other.npz"])


def test_what_the_model_does_not_read(
    model: TrainedCaptioner, of_features: TrainedCaptioner, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ShapeError, match=r"expected floats \(3, 4\), got float64 \(4, 3\)"):
        of_features.predict([np.zeros((4, 3))])
    bad = np.zeros((3, 4))
    bad[1, 2] = np.nan
    with pytest.raises(UsageError, match="a feature is not finite"):
        of_features.predict([bad])
    with pytest.raises(UsageError, match=r"3\.png: .* reads features that another network computed, \(3, 4\) of each"):
        of_features.predict([folder / "3.png"])
    with pytest.raises(UsageError, match=rf"features\.npz: {model.run} reads image files, not features; give these"):
        model.predict([folder / "features.npz"])
    with pytest.raises(ShapeError, match=r"got uint8 \(9, 10, 1\); give its file, or resize it to \(6, 10\)"):
        model.predict([np.zeros((9, 10, 1), np.uint8)])
    (tmp_path / "broken.png").write_bytes((folder / "3.png").read_bytes()[:30])
    with pytest.raises(DataError, match=r"broken\.png"):
        model.predict([tmp_path / "broken.png"])


def test_answers_as_json_and_as_a_table(model: TrainedCaptioner, folder: Path) -> None:
    (found,) = model.predict([folder / "4.png"], num_best=2)
    values = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert [*values] == ["image", "texts", "attention"]
    assert values["texts"] == [one._asdict() for one in found.texts]
    assert [*values["attention"]] == ["tokens", "grid", "weights"]
    assert values["attention"]["grid"] == [3, 5]
    np.testing.assert_allclose(np.sum(values["attention"]["weights"], 1), 1, rtol=1e-5)
    table = found.as_table()
    assert table is not None
    assert table.columns == (str(folder / "4.png"), "score", "log-probability")
    assert [row[0] for row in table.rows] == [one.shown for one in found.texts]
    assert model.predict([folder / "4.png"])[0].as_table() is None


def test_a_caption_that_was_cut_off_is_marked_in_print_only(
    of_features: TrainedCaptioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_ends = of_features.task.model.decoder.output.bias.detach().clone()
    never_ends[of_features.task.vocabulary.start_id] = -20
    monkeypatch.setattr(of_features.task.model.decoder.output.bias, "data", never_ends)
    (found,) = of_features.predict([np.ones((3, 4))], beam_size=1)
    assert not found.texts[0].complete
    assert "cut off" not in found.text
    assert list(found.pieces()) == [f"{found.text} ... (cut off)"]


def test_attention_is_drawn_over_the_image(
    model: TrainedCaptioner, of_features: TrainedCaptioner, folder: Path
) -> None:
    (found,) = model.predict([folder / "5.png"])
    (figure,) = model.figures([found])
    with Image.open(folder / "5.png") as opened:
        image = np.asarray(opened)[..., None]
    for picture, weights in zip(figure.data, found.attention["weights"], strict=True):
        expected = shaded({"image": image.tolist(), "grid": [3, 5]}, weights)
        np.testing.assert_array_equal(picture.z, expected)
    assert [note.text for note in figure.layout.annotations] == found.attention["tokens"]
    with pytest.raises(UsageError, match=f"--plot: {of_features.run} has no attention, so there is nothing to draw"):
        of_features.figures(of_features.predict([np.ones((3, 4))]))
