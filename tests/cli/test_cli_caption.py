"""`recurra caption`, and pictures that nobody could learn from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason="reading images takes Pillow")

SMALL = ["--image-size", "8,8", "--channels", "6", "--embedding-size", "8", "--hidden-size", "12", "--quiet"]


@pytest.fixture
def run(small_run: Callable[[str], Any]) -> Path:
    return small_run("captioning").run


@pytest.fixture
def images(small_run: Callable[[str], Any]) -> list[Path]:
    """A white and a black picture."""
    folder = small_run("captioning").data
    return [folder / "3.png", folder / "4.png"]


def test_captions_stand_behind_names_where_there_are_several(
    recurra_command: Any, run: Path, images: list[Path], tmp_path: Path
) -> None:
    assert recurra_command("caption", run, *images).out == f"{images[0]}\tall white\n{images[1]}\tall black\n"
    assert recurra_command("caption", run, images[1]).out == "all black\n"
    assert recurra_command("predict", run, images[1]).out == "all black\n"
    several = tmp_path / "several"
    several.mkdir()
    for name, image in (("b.PNG", images[0]), ("a.png", images[1])):
        (several / name).write_bytes(image.read_bytes())
    (several / "notes.txt").write_text("no image")
    outcome = recurra_command("caption", run, several)
    assert outcome.out == f"{several / 'a.png'}\tall black\n{several / 'b.PNG'}\tall white\n"
    (several / "b.PNG").unlink()
    assert recurra_command("caption", run, several).out == f"{several / 'a.png'}\tall black\n"
    (several / "a.png").unlink()
    outcome = recurra_command("caption", run, several)
    assert (outcome.code, f"{several}: a folder without files ending in .png, .jpg" in outcome.err) == (3, True)


def test_several_captions_as_a_table_and_as_json(recurra_command: Any, run: Path, images: list[Path]) -> None:
    rows = recurra_command("caption", run, *images, "--num-best", "2", "--json").json_lines
    assert [row["image"] for row in rows] == list(map(str, images))
    assert [row["texts"][0]["text"] for row in rows] == ["all white", "all black"]
    assert [len(row["texts"]) for row in rows] == [2, 2]
    assert rows[0]["view"]["tokens"][:2] == ["all", "white"]
    table = recurra_command("caption", run, *images, "--num-best", "2").out
    for row in rows:
        for one in row["texts"]:
            assert f"{one['score']:.3f}" in table


def test_attention_over_images_is_a_page(recurra_command: Any, run: Path, images: list[Path]) -> None:
    outcome = recurra_command("caption", run, *images, "--plot")
    assert outcome.out == f"{images[0]}\tall white\n{images[1]}\tall black\n"
    assert outcome.err == f"chart {run / 'caption.html'}\n"
    assert '"type":"image"' in (run / "caption.html").read_text()


def test_images_that_cannot_be_read(recurra_command: Any, run: Path, images: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(images[0].read_bytes()[:30])
    outcome = recurra_command("caption", run, broken)
    assert (outcome.code, outcome.out) == (3, "")
    assert str(broken) in outcome.err
    outcome = recurra_command("caption", run, images[1], broken, images[0])
    assert (outcome.code, outcome.out) == (3, f"{images[1]}\tall black\n")
    assert str(broken) in outcome.err
    np.savez(tmp_path / "seen.npz", features=np.ones((2, 3, 4)))
    outcome = recurra_command("caption", run, tmp_path / "seen.npz")
    assert (outcome.code, f"seen.npz: {run} reads image files, not features" in outcome.err) == (2, True)


def test_features_that_another_network_computed(tmp_path: Path, recurra_command: Any) -> None:
    rng = np.random.default_rng(3)
    is_white = np.arange(60) % 2 == 1
    features = np.where(is_white, 1.0, -1.0)[:, None, None] + 0.1 * rng.normal(size=(60, 2, 3))
    captions = np.where(is_white, "all white", "all black")
    np.savez(tmp_path / "seen.npz", features=features, captions=captions)
    np.savez(tmp_path / "new.npz", features=-features[:3])
    options = ["--embedding-size", "8", "--hidden-size", "12", "--epochs", "20", "--learning-rate", "0.02"]
    options += ["--batch-size", "8", "--quiet"]
    outcome = recurra_command("train", "captioning", tmp_path / "seen.npz", "--run", tmp_path / "run", *options)
    assert outcome.code == 0, outcome.err
    rows = recurra_command("caption", tmp_path / "run", tmp_path / "new.npz", "--json").json_lines
    assert [row["image"] for row in rows] == [f"{tmp_path / 'new.npz'} image {number}" for number in (1, 2, 3)]
    assert [row["texts"][0]["text"] for row in rows] == ["all white", "all black", "all white"]
    assert recurra_command("caption", tmp_path / "run", tmp_path / "new.npz").out == "all white\nall black\nall white\n"
    np.savez(tmp_path / "other.npz", features=features[:, :, :2])
    outcome = recurra_command("caption", tmp_path / "run", tmp_path / "new.npz", tmp_path / "other.npz")
    assert (outcome.code, outcome.out.count("new.npz image ")) == (3, 3)
    assert f"other.npz image 1: features (2, 2), but {tmp_path / 'run'} reads (2, 3) of each image" in outcome.err
    outcome = recurra_command("caption", tmp_path / "run", tmp_path / "new.png")
    assert outcome.code == 2
    assert "reads features that another network computed, (2, 3) of each image" in outcome.err


def test_a_table_that_names_what_is_no_image(tmp_path: Path, recurra_command: Any) -> None:
    (tmp_path / "a.png").write_text("no image")
    (tmp_path / "captions.csv").write_text("image,caption\na.png,something\n")
    outcome = recurra_command("train", "captioning", tmp_path, "--run", tmp_path / "run", *SMALL)
    assert outcome.code == 3
    assert "captions.csv line 2" in outcome.err
    assert "a.png" in outcome.err
    assert not (tmp_path / "run").exists()
