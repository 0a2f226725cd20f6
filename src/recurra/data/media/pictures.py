"""Pictures with captions: tables of image files, `.npz` files of features, strips of digits."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.config import Shares
from recurra.data.builtin.digit_strips import Strip, digit_strips
from recurra.data.catalogue import image_layout, in_memory, locate
from recurra.data.media.images import ImageOptions, read_image
from recurra.data.media.listings import SPLIT, FileColumns, list_files
from recurra.data.series.arrays import load, shapes_of
from recurra.data.series.segments import to_float32
from recurra.data.splits import complete_splits, find_files, parse_split, refuse_partial_splits, split_by_hash
from recurra.data.tables import KINDS as TABLES
from recurra.data.tables import is_table
from recurra.errors import DataError, counted
from recurra.progress import Progress

KINDS = (*TABLES, ".npz")
# kind and possible numbers of axes of each array
LAYOUT = {"features": ("f", (2, 3)), "captions": ("U", (1, 2)), SPLIT: ("U", (1,))}


class Picture(NamedTuple):
    """An image, or features of one, and its captions."""

    content: NDArray[np.uint8] | NDArray[np.float32]  # image (height, width, channels), or features (cells, features)
    captions: tuple[str, ...]  # at least one, none empty
    place: str  # file and line, or file and number, for messages
    name: str  # of the image below its folder; its hash decides the split


class PictureOptions(NamedTuple):
    """How image files are read, and the columns of a table."""

    images: ImageOptions
    image_column: str
    caption_column: str


class ListedImage(NamedTuple):
    """An image of a table that is still to be read."""

    split: str
    captions: list[str]
    place: str
    name: str


def read_pictures(path: str, options: PictureOptions, progress: Progress) -> dict[str, list[Picture]]:
    """Pictures by split: "train" and maybe "valid" and "test", or "all" where neither names nor tables say one.

    Args:
        path: a file, a folder or a data set:

            - a table (CSV, TSV, JSONL, Parquet) with a column of image files and one of captions. Rows of one image
              hold captions of one picture. Files are looked for beside the table, then anywhere below the folder; a
              column `split` may say train, valid (val, dev) or test;
            - an `.npz` file of computed features: `features` (images, cells, features), or (images, features) for one
              cell; `captions` (images,) or (images, captions), text, empty where an image has fewer; and maybe `split`
              (images,), text;
            - a folder of such files, called train, valid and test, or else unsplit;
            - a folder of images of digits in idx files, such as MNIST: `digit_strips` of them;
            - the name of a built-in data set of pictures.
        options: how tables and image files are read; without effect on features and strips.
        progress: shows how many image files are read.

    Raises:
        DataError: no such file, folder or data set, of another format, an image that is missing, damaged, without a
            caption or in two splits; the message names line and file.
        RecurraError: images to read, but Pillow is not installed.
    """
    make = in_memory(path)
    if make:
        return strip_pictures(make(), path)
    place = locate(path)
    layout = image_layout(place)
    if layout:
        return strip_pictures(digit_strips(place, layout=layout), str(place))
    files = [(split, file) for split, files in find_files(place, KINDS).items() for file in files]
    if not files:
        raise DataError(f"{place}: no captions; expected a file ending in {', '.join(KINDS)}, or the files of MNIST")
    found: dict[str, list[Picture]] = {}
    for split, file in files:
        for own_split, picture in () if is_table(file) else read_features(file, split):
            found.setdefault(own_split, []).append(picture)
    tables = [(split, file) for split, file in files if is_table(file)]
    listed = list_images(tables, place if place.is_dir() else place.parent, options)
    refuse_partial_splits({*found, *(one.split for one in listed.values())}, place, "pictures")
    for split, picture in read_listed_images(listed, options, progress):
        found.setdefault(split, []).append(picture)
    refuse_mixed_shapes([picture for pictures in found.values() for picture in pictures])
    return found


def split_pictures(found: dict[str, list[Picture]], path: str, shares: Shares) -> dict[str, list[Picture]]:
    """The pictures of `complete_splits`; split by a hash of the name where files say no split."""
    by_name = partial(split_by_hash, key_of=lambda picture: picture.name)
    return complete_splits(found, by_name, shares, path, "pictures")


def strip_pictures(splits: dict[str, list[Strip]], place: str) -> dict[str, list[Picture]]:
    """Strips of digits as pictures."""
    return {
        split: [
            Picture(strip.pixels, (strip.caption,), f"{place} {split} strip {number}", f"{split} strip {number}")
            for number, strip in enumerate(strips, 1)
        ]
        for split, strips in splits.items()
    }


def list_images(tables: list[tuple[str, Path]], folder: Path, options: PictureOptions) -> dict[Path, ListedImage]:
    """The images of tables, each once, with its captions in the order of the rows.

    Raises:
        DataError: as `list_files`, or an image in two splits; the message names the line.
    """
    found = dict[Path, ListedImage]()
    purpose = "images and captions (--image-column, --caption-column)"
    for row in list_files(tables, folder, FileColumns(options.image_column, options.caption_column, purpose)):
        first = found.setdefault(row.file, ListedImage(row.split, [], row.place, relative_name(row.file, folder)))
        if first.split != row.split:
            raise DataError(
                f"{row.place}: {row.file} is for {row.split} here, for {first.split} in {first.place}; choose one"
            )
        first.captions.append(row.text)
    return found


def relative_name(image: Path, folder: Path) -> str:
    """The path of an image relative to the folder of all images, or its name outside of it."""
    root = folder.resolve()
    return image.relative_to(root).as_posix() if image.is_relative_to(root) else image.name


def read_listed_images(
    listed: dict[Path, ListedImage], options: PictureOptions, progress: Progress
) -> Iterator[tuple[str, Picture]]:
    """The pictures of listed images, each with its split; errors as of `read_image`, with line and file."""
    with progress.stage("reading images", len(listed)) as advance:
        for image, (split, captions, place, name) in listed.items():
            try:
                content = read_image(image, options.images)
            except DataError as error:
                raise DataError(f"{place}: {error}") from None
            yield split, Picture(content, tuple(captions), place, name)
            advance(1)


def read_features(path: Path, split: str) -> Iterator[tuple[str, Picture]]:
    """The pictures of an `.npz` file, each with the split that the file says, or else with the one given.

    Raises:
        DataError: another layout, an image without a caption, or an unknown split.
    """
    features, captions, splits = load_features(path)
    for index, (content, texts) in enumerate(zip(features, captions.tolist(), strict=True)):
        place = f"{path} image {index + 1}"
        given = tuple(text.strip() for text in texts if text.strip())
        if not given:
            raise DataError(f"{place}: no caption; fill it, or leave it out")
        own_split = split if splits is None else parse_split(str(splits[index]), place)
        yield own_split, Picture(content, given, place, f"{path.name} image {index + 1}")


def load_features(path: Path) -> tuple[NDArray[np.float32], NDArray[np.str_], NDArray[np.str_] | None]:
    """Features (images, cells, features), captions (images, captions) and maybe splits (images,) of an `.npz` file.

    Raises:
        DataError: it cannot be read, has another layout, or values that are not finite.
    """
    found = load(path, LAYOUT)
    is_whole = all(fits(found, name) for name in {"features", "captions", *found})
    if not (is_whole and len({len(array) for array in found.values()}) == 1 and found["features"].size):
        raise DataError(
            f"{path}: expected floats features (images, cells, features) or (images, features), texts captions "
            f"(images,) or (images, captions), and maybe texts {SPLIT} (images,); it has "
            f"{shapes_of(found) or 'none of them'}"
        )
    captions = found["captions"]
    return to_cells(found["features"], path), captions.reshape(len(captions), -1), found.get(SPLIT)


def load_cells(path: Path) -> NDArray[np.float32]:
    """Features (images, cells, features) of an `.npz` file, with or without captions; errors as of `load_features`."""
    found = load(path, LAYOUT)
    if not fits(found, "features"):
        expected = "floats features (images, cells, features) or (images, features)"
        raise DataError(f"{path}: expected {expected}; it has {shapes_of(found) or 'none of them'}")
    return to_cells(found["features"], path)


def fits(arrays: Mapping[str, NDArray[Any]], name: str) -> bool:
    """Whether there is an array of some name, of the kind and the number of axes that `LAYOUT` says."""
    kind, ndims = LAYOUT[name]
    return name in arrays and arrays[name].dtype.kind == kind and arrays[name].ndim in ndims


def to_cells(features: NDArray[np.floating], path: Path) -> NDArray[np.float32]:
    """Features with an axis of cells, (images, cells, features); raises DataError at values that are not finite."""
    found = to_float32(features).reshape(len(features), -1, features.shape[-1])
    bad = np.flatnonzero(~np.isfinite(found).all(axis=(1, 2)))
    if len(bad):
        such = counted(len(bad), "such image")
        raise DataError(f"{path} image {bad[0] + 1}: a feature is not finite ({such}); leave it out")
    return found


def refuse_mixed_shapes(pictures: list[Picture]) -> None:
    """Refuse pictures of different shapes, such as of two files of features."""
    first = pictures[0]
    for other in pictures:
        if other.content.shape != first.content.shape:
            raise DataError(
                f"{other.place}: {other.content.shape}, but {first.place} is {first.content.shape}; expected the same"
            )
