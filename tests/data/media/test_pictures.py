"""Pictures with captions: every form gives the same pictures in the right splits, and what is damaged is named."""

import gzip
import json
import re
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from recurra.data.builtin import digit_strips as strips_module
from recurra.data.builtin.digit_strips import digit_strips
from recurra.data.media.images import ImageOptions, read_image
from recurra.data.media.pictures import Picture, PictureOptions, read_pictures, split_pictures
from recurra.errors import DataError, RecurraError
from recurra.progress import Advance, Progress

OPTIONS = PictureOptions(ImageOptions((5, 7), True), "image", "caption")
PIXELS = np.random.default_rng(4).integers(0, 256, (4, 5, 7, 3), np.uint8)
ROWS = [
    ("one.png", " a dog, so big "),
    ("sub/two.png", 'two "cats"'),
    ("./one.png", "naïve 🙂"),
    ("three.png", "three"),
    ("one.png", "a dog"),
]
FOUND = [
    ("one.png", ("a dog, so big", "naïve 🙂", "a dog")),
    ("sub/two.png", ('two "cats"',)),
    ("three.png", ("three",)),
]
SHARES = (0.6, 0.25, 0.15)


@pytest.fixture
def pil() -> Any:
    return pytest.importorskip("PIL.Image", reason="images need Pillow: pip install 'recurra[images]'")


def save(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def write(path: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = ("image", "caption")) -> Path:
    """A table of the kind that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [dict(zip(header, row, strict=True)) for row in rows]
    if path.suffix == ".parquet":
        pa.parquet.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    else:
        quoted = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in (header, *rows)]
        delimiter = {".csv": ",", ".tsv": "\t"}[path.suffix]
        path.write_text("".join(delimiter.join(cells) + "\n" for cells in quoted), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path, pil: Any) -> Path:  # noqa: ARG001
    """Three images."""
    for (name, _), pixels in zip(FOUND, PIXELS, strict=False):
        save(tmp_path / name, pixels)
    return tmp_path


def read(path: Path, options: PictureOptions = OPTIONS) -> dict[str, list[Picture]]:
    return read_pictures(str(path), options, Progress())


def names(found: dict[str, list[Picture]]) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    return {split: [(picture.name, picture.captions) for picture in pictures] for split, pictures in found.items()}


# --- tables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("given", ["table", "folder"])
def test_rows_of_one_image_are_one_picture(folder: Path, kind: str, given: str) -> None:
    path = write(folder / f"captions.{kind}", ROWS)
    found = read(path if given == "table" else folder)
    assert names(found) == {"all": FOUND}
    for picture, pixels in zip(found["all"], PIXELS, strict=False):
        assert picture.content.dtype == np.uint8
        np.testing.assert_array_equal(picture.content, pixels)
    unit, first = ("row", 1) if kind == "parquet" else ("line", 1 if kind == "jsonl" else 2)
    assert [picture.place for picture in found["all"]] == [f"{path} {unit} {first + row}" for row in (0, 1, 3)]


def test_columns_have_the_names_asked_for(folder: Path) -> None:
    rows = [("x", "one.png", "wrong", "right")]
    path = write(folder / "t.csv", rows, ("n", "file", "caption", "said"))
    options = OPTIONS._replace(image_column="file", caption_column="said")
    assert names(read(path, options)) == {"all": [("one.png", ("right",))]}
    with pytest.raises(DataError, match=r"t\.csv: no column 'image' for images and captions \(--image-column, --c"):
        read(path)


def test_images_are_found_anywhere_below_the_folder(folder: Path) -> None:
    save(folder / "images" / "deep" / "two.png", PIXELS[3])
    (folder / "one.png").rename(folder / "images" / "one.png")
    rows = [("one.png", "a"), ("deep/two.png", "b"), ("images/one.png", "c"), (str(folder / "three.png"), "d")]
    table = write(folder / "tables" / "captions.csv", rows)
    one, two, three = read(folder)["all"]
    assert [one.captions, two.captions, three.captions] == [("a", "c"), ("b",), ("d",)]
    np.testing.assert_array_equal([one.content, two.content, three.content], PIXELS[[0, 3, 2]])
    message = rf"{table} line 2: no file {table.parent}/one\.png, nor any one\.png below {table.parent}; expected paths"
    with pytest.raises(DataError, match=message):
        read(table)


def test_an_image_beside_its_table_comes_before_others_below(folder: Path) -> None:
    save(folder / "other" / "one.png", PIXELS[3])
    found = read(write(folder / "t.csv", [("one.png", "a")]))["all"]
    np.testing.assert_array_equal(found[0].content, PIXELS[0])


def test_an_image_that_may_be_two(folder: Path) -> None:
    save(folder / "other" / "two.png", PIXELS[3])
    with pytest.raises(
        DataError, match=r"t\.csv line 2: file two\.png may be .*/other/two\.png or .*/sub/two\.png; wr"
    ):
        read(write(folder / "t.csv", [("two.png", "a")]))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("", "x"), "no image; fill it"),
        (("one.png", "  "), "no caption; fill it"),
        (("four.png", "x"), "no file .*four.png, nor any four.png below"),
        (("a caption in the place of an image " * 9, "x"), "no file .*a caption in the place"),
        (("sub", "x"), r"/sub: cannot be read as an image \(.*Is a directory"),
    ],
)
def test_a_row_that_is_wrong(folder: Path, row: tuple[str, str], message: str) -> None:
    with pytest.raises(DataError, match=rf"t\.csv line 4: .*{message}"):
        read(write(folder / "t.csv", [*ROWS[:2], row]))


def test_what_holds_no_captions(folder: Path) -> None:
    for place in (folder, folder / "one.png"):
        with pytest.raises(
            DataError, match=f"{place}: no captions; expected a file ending in .csv, .*, .npz, or the fi"
        ):
            read(place)
    with pytest.raises(DataError, match="no such file, folder or data set"):
        read(folder / "nowhere")


def test_progress_is_told_of_every_image(folder: Path) -> None:
    told: list[tuple[str, float]] = []

    class Heard(Progress):
        @contextmanager
        def stage(self, title: str, total: float, done: float = 0) -> Iterator[Advance]:
            told.append((title, total - done))
            yield lambda amount, detail="": told.append((detail, amount))

    read_pictures(str(write(folder / "t.csv", ROWS)), OPTIONS, Heard())
    assert told == [("reading images", 3), ("", 1), ("", 1), ("", 1)]


# --- splits ------------------------------------------------------------------------------------------------------


def test_a_column_says_the_split(folder: Path) -> None:
    rows = [
        ("one.png", "a", "train"),
        ("three.png", "b", "Test "),
        ("sub/two.png", "c", "val"),
        ("one.png", "d", "train"),
    ]
    found = read(write(folder / "captions.csv", rows, ("image", "caption", "split")))
    assert names(found) == {
        "train": [("one.png", ("a", "d"))],
        "test": [("three.png", ("b",))],
        "valid": [("sub/two.png", ("c",))],
    }
    assert list(split_pictures(found, "here", SHARES)) == ["train", "valid", "test"]


def test_names_of_files_say_the_split(folder: Path) -> None:
    for name, row in zip(("train", "toy.dev", "test"), (ROWS[0], ROWS[1], ROWS[3]), strict=True):
        write(folder / f"{name}.csv", [row])
    write(folder / "extra.csv", ROWS)  # says no split where others do
    assert names(read(folder)) == {
        "train": [("one.png", ("a dog, so big",))],
        "valid": [("sub/two.png", ('two "cats"',))],
        "test": [("three.png", ("three",))],
    }
    write(folder / "test.csv", [ROWS[3], ROWS[0]])
    with pytest.raises(
        DataError, match=r"test\.csv line 3: .*one\.png is for test here, for train in .*/train\.csv line 2; choose one"
    ):
        read(folder)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("one.png", "a", "train"), ("one.png", "b", "test")],
            r"line 3: .*one\.png is for test here, for train in .* 2",
        ),
        (
            [("one.png", "a", "train"), ("three.png", "b", "")],
            "line 3: split ''; expected one of train, valid, val, dev",
        ),
        ([("one.png", "a", "restval")], "line 2: split 'restval'; expected one of train"),
    ],
)
def test_splits_that_are_none(folder: Path, rows: list[tuple[str, ...]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(folder / "t.csv", rows, ("image", "caption", "split")))


def test_pictures_of_which_none_is_for_training(folder: Path) -> None:
    """They may judge a model, but not train one."""
    rows = [("one.png", "a", "dev"), ("three.png", "b", "test")]
    found = read(write(folder / "t.csv", rows, ("image", "caption", "split")))
    assert names(found) == {"valid": [("one.png", ("a",))], "test": [("three.png", ("b",))]}
    with pytest.raises(
        DataError, match=r"t\.csv: its pictures are for test, valid; expected some for train, or no splits"
    ):
        split_pictures(found, "t.csv", SHARES)


def test_an_image_is_one_however_its_path_is_written(folder: Path) -> None:
    (folder / "linked.png").symlink_to(folder / "one.png")
    rows = [("one.png", "a"), ("sub/../one.png", "b"), (str(folder / "one.png"), "c"), ("linked.png", "d")]
    assert names(read(write(folder / "t.csv", rows))) == {"all": [("one.png", ("a", "b", "c", "d"))]}
    rows = [("one.png", "a", "train"), ("./sub/../one.png", "b", "test")]
    with pytest.raises(DataError, match=r"line 3: .*one\.png is for test here, for train in .* line 2; choose one"):
        read(write(folder / "t.csv", rows, ("image", "caption", "split")))


def test_pictures_with_and_without_a_split(folder: Path) -> None:
    """Those without would be lost."""
    write(folder / "a.csv", [("one.png", "a", "train")], ("image", "caption", "split"))
    write(folder / "b.csv", [("three.png", "b")])
    with pytest.raises(DataError, match="its pictures are for none, train; expected each for one, or no splits"):
        read(folder)


def picture(number: int, captions: tuple[str, ...] = ("x",)) -> Picture:
    return Picture(np.zeros((1, 1), np.float32), captions, f"place {number}", f"image {number}")


def test_what_nothing_says_goes_by_the_name_of_the_image() -> None:
    found = split_pictures({"all": [picture(number) for number in range(400)]}, "here", SHARES)
    assert list(found) == ["train", "valid", "test"]
    assert 60 < len(found["valid"]) < 140
    again = [picture(number, ("other", "captions"))._replace(place="moved") for number in range(200)]
    told = split_pictures({"all": again}, "there", SHARES)
    for split, pictures in told.items():
        assert [one.name for one in pictures] == [one.name for one in found[split]][: len(pictures)]
    given = {"train": [picture(number) for number in range(100)], "test": [picture(3)]}
    completed = split_pictures(given, "here", SHARES)
    assert completed["test"] == given["test"]
    assert sorted(one.place for split in ("train", "valid") for one in completed[split]) == sorted(
        one.place for one in given["train"]
    )
    with pytest.raises(DataError, match="here: no pictures for"):
        split_pictures({"all": [picture(1)]}, "here", SHARES)


def test_an_image_that_is_damaged_is_named_with_its_line(folder: Path) -> None:
    path = write(folder / "t.csv", ROWS)
    whole = bytearray((folder / "three.png").read_bytes())
    whole[60] ^= 1
    for content, message in (
        (bytes(whole), r"cannot be read as an image \(.*\); correct it, or leave it out"),
        (b"", "not an image in a known format; expected one such as PNG or JPEG"),
        (b"no image\n", "not an image in a known format"),
    ):
        (folder / "three.png").write_bytes(content)
        with pytest.raises(DataError, match=rf"t\.csv line 5: {folder}/three\.png: {message}"):
            read(path)


def test_without_pillow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    (tmp_path / "one.png").write_bytes(b"x")
    for call in (
        lambda: read_image(tmp_path / "one.png", OPTIONS.images),
        lambda: read(write(tmp_path / "t.csv", [("one.png", "a")])),
    ):
        with pytest.raises(
            RecurraError, match=re.escape("one.png: reading images takes Pillow; install it with: pip ins")
        ):
            call()


# --- strips ------------------------------------------------------------------------------------------------------


def test_a_folder_of_digits_gives_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips_module, "COUNTS", {"train": 6, "valid": 4, "test": 5})
    images = np.random.default_rng(0).integers(0, 256, (240, 28, 28), np.uint8)
    labels = np.array([(number + number // 12) % 10 for number in range(240)], np.uint8)
    for prefix in ("train", "t10k"):
        for name, values in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape)
            (tmp_path / f"{prefix}-{name}-ubyte.gz").write_bytes(gzip.compress(header + values.tobytes()))
    found, expected = read(tmp_path), digit_strips(tmp_path)
    assert list(found) == ["train", "valid", "test"]
    for split, strips in expected.items():
        assert [one.captions for one in found[split]] == [(strip.caption,) for strip in strips]
        np.testing.assert_array_equal([one.content for one in found[split]], [strip.pixels for strip in strips])
        assert found[split][2][2:] == (f"{tmp_path} {split} strip 3", f"{split} strip 3")
    assert split_pictures(found, "here", SHARES) == found
