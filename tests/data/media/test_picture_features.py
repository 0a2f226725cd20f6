"""Pictures as features that another network computed: read with their captions, or refused with what is wrong."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.data.media.images import ImageOptions
from recurra.data.media.pictures import Picture, PictureOptions, load_cells, read_pictures, split_pictures
from recurra.errors import DataError
from recurra.progress import Progress

OPTIONS = PictureOptions(ImageOptions((5, 7), True), "image", "caption")
SHARES = (0.6, 0.25, 0.15)
FEATURES = np.random.default_rng(8).normal(size=(4, 3, 2))
TEXTS = np.array([["a", " b "], ["c", ""], ["", "d"], ["e", "f"]])
SAID = [("a", "b"), ("c",), ("d",), ("e", "f")]


def read(path: Path) -> dict[str, list[Picture]]:
    return read_pictures(str(path), OPTIONS, Progress())


def names(found: dict[str, list[Picture]]) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    return {split: [(picture.name, picture.captions) for picture in pictures] for split, pictures in found.items()}


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_features_of_cells(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "toy.npz"
    np.savez(path, features=FEATURES.astype(kind), captions=TEXTS)
    for given in (path, tmp_path):
        found = read(given)
        assert names(found) == {"all": [(f"toy.npz image {number}", said) for number, said in enumerate(SAID, 1)]}
        assert [one.place for one in found["all"]] == [f"{path} image {number}" for number in range(1, 5)]
        assert all(one.content.dtype == np.float32 for one in found["all"])
        np.testing.assert_array_equal([one.content for one in found["all"]], FEATURES.astype(kind).astype(np.float32))


def test_features_of_whole_images_with_one_caption_and_splits(tmp_path: Path) -> None:
    splits = np.array(["test", "train", "dev", "train"])
    np.savez_compressed(
        tmp_path / "toy.npz", features=FEATURES[:, 0], captions=np.array(["a", " b ", "c", "d"]), split=splits
    )
    found = read(tmp_path / "toy.npz")
    assert {split: [one.captions for one in pictures] for split, pictures in found.items()} == {
        "test": [("a",)],
        "train": [("b",), ("d",)],
        "valid": [("c",)],
    }
    order = found["test"] + found["train"][:1] + found["valid"] + found["train"][1:]
    np.testing.assert_array_equal([one.content for one in order], FEATURES[:, :1].astype(np.float32))
    assert list(split_pictures(found, "here", SHARES)) == ["train", "valid", "test"]


def test_files_of_features_in_a_folder(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", features=FEATURES[:3], captions=TEXTS[:3])
    np.savez(tmp_path / "test.npz", features=FEATURES[3:], captions=TEXTS[3:])
    found = read(tmp_path)
    assert {split: [one.captions for one in pictures] for split, pictures in found.items()} == {
        "train": SAID[:3],
        "test": SAID[3:],
    }
    np.savez(tmp_path / "test.npz", features=FEATURES[3:, :, :1], captions=TEXTS[3:])
    with pytest.raises(DataError, match=r"image 1: \(3, [12]\), but .* image 1 is \(3, [12]\); expected the same"):
        read(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_features_that_are_not_finite(tmp_path: Path, value: float) -> None:
    features = FEATURES.copy()
    features[1, 2, 1] = features[1, 0, 0] = features[3, 1, 0] = value
    np.savez(tmp_path / "toy.npz", features=features, captions=TEXTS)
    with pytest.raises(DataError, match=r"toy\.npz image 2: a feature is not finite \(2 such images\); leave it out"):
        read(tmp_path / "toy.npz")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"captions": np.where(TEXTS == "d", " ", TEXTS)}, "image 3: no caption; fill it"),
        ({"split": np.array(["train", "tests", "train", "train"])}, "image 2: split 'tests'; expected one of train"),
        ({"split": np.array(["train", "train"])}, r"expected floats features .*; it has .*split \(2,\) <U5"),
        ({"split": np.arange(4)}, r"split \(4,\) int64"),
        ({"captions": TEXTS[:3]}, r"captions \(3, 2\) <U3"),
        ({"captions": np.arange(4)}, r"captions \(4,\) int64"),
        ({"captions": TEXTS[..., None]}, r"captions \(4, 2, 1\) <U3"),
        ({"captions": np.array("a")}, r"captions \(\) <U1"),
        ({"features": FEATURES[0, 0]}, r"features \(2,\) float64"),
        ({"features": FEATURES[..., None]}, r"features \(4, 3, 2, 1\) float64"),
        ({"features": FEATURES[..., :0]}, r"features \(4, 3, 0\) float64"),
        ({"features": FEATURES > 0}, r"features \(4, 3, 2\) bool"),
        ({"features": FEATURES[:0], "captions": TEXTS[:0]}, r"features \(0, 3, 2\) float64"),
        ({"features": (FEATURES * 9).astype(np.uint8)}, r"features \(4, 3, 2\) uint8"),
        ({"captions": TEXTS.astype(object)}, r"holds arrays of Python objects; write .*, text with astype\(str\)$"),
    ],
)
def test_other_layouts(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "toy.npz", **{"features": FEATURES, "captions": TEXTS, **changed})
    with pytest.raises(DataError, match=rf"toy\.npz:? .*{message}"):
        read(tmp_path / "toy.npz")


def test_files_without_features(tmp_path: Path) -> None:
    np.savez(tmp_path / "toy.npz", x=FEATURES)
    with pytest.raises(DataError, match=r"toy\.npz: expected floats features .*; it has none of them"):
        read(tmp_path / "toy.npz")
    np.savez(tmp_path / "toy.npz", features=FEATURES)
    with pytest.raises(DataError, match=r"it has features \(4, 3, 2\) float64"):
        read(tmp_path / "toy.npz")


def test_what_is_no_archive_of_arrays(tmp_path: Path) -> None:
    path = tmp_path / "toy.npz"
    with pytest.raises(DataError, match=r"toy\.npz: cannot be read \(No such file or directory\)$"):
        load_cells(path)
    np.savez(path, features=FEATURES, captions=TEXTS)
    whole = path.read_bytes()
    for content in (whole[:100], b"no archive"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"toy\.npz: not an \.npz archive, or cut off; write it with numpy\.savez$"):
            read(path)
    at = whole.index(FEATURES.tobytes())
    path.write_bytes(whole[:at] + b"?" + whole[at + 1 :])
    with pytest.raises(DataError, match=r"toy\.npz: cannot be read, it is damaged; write it anew"):
        read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features.npy", "no array")
    with pytest.raises(DataError, match=r"toy\.npz: features is no array; write the file anew"):
        read(path)


def test_features_without_captions_can_be_written_about(tmp_path: Path) -> None:
    np.savez(tmp_path / "new.npz", features=FEATURES)
    np.testing.assert_array_equal(load_cells(tmp_path / "new.npz"), FEATURES.astype(np.float32))
    np.savez(tmp_path / "new.npz", features=FEATURES[:, 1].astype(np.float16))
    assert load_cells(tmp_path / "new.npz").shape == (4, 1, 2)
    np.savez(tmp_path / "new.npz", features=FEATURES > 0)
    with pytest.raises(DataError, match=r"new\.npz: expected floats features .*; it has features \(4, 3, 2\) bool"):
        load_cells(tmp_path / "new.npz")
