"""Series and recordings in NumPy's `.npz` files.

Three layouts, recognized by the names of the arrays:

- Series: `x` (series, time, channels) or (series, time); `y` (series,), or (series, time) for a label per step;
  where series end early `lengths` (series,).
- Recordings: `x` (steps, channels) or (steps,), one recording after the other; `lengths` (recordings,);
  `segments` (segments, 3): the recording counted from 0, the first step in it counted from 0, and the step after the
  last; `y` (segments,).
- Recordings under other names, as an `ArrayLayout` of the catalogue says.

The first two may have `groups` (series or recordings,), such as the person each is from, and `channels` (channels,),
their names. Labels, groups and names are text or whole numbers; in a label per step, empty text means no label.
"""

import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.data.catalogue import layouts
from recurra.data.layouts import ArrayLayout
from recurra.data.series.segments import Recording, Segment, numbered, segments_of, to_float32
from recurra.data.text.files import open_file
from recurra.errors import DataError

Array = NDArray[np.generic]
Shape = tuple[int | None, ...]

DAMAGE = (OSError, ValueError, TypeError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)
NAMES = ("x", "y", "lengths", "segments", "groups", "channels")


class Arrays:
    """The arrays of a file that belong to a layout, by name."""

    def __init__(self, path: Path, arrays: dict[str, Array]) -> None:
        self.path, self.arrays = path, arrays

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def wrong(self, expected: str) -> DataError:
        """The error for a file without the expected arrays; the message lists what it has."""
        found = shapes_of(self.arrays) or f"none of {', '.join(NAMES)}"
        return DataError(f"{self.path}: expected {expected}; it has {found}")

    def values(self, ndims: tuple[int, int], shape: str) -> NDArray[np.float32]:
        """The array `x` in float32 with an axis of channels; `ndims` are its numbers of axes without and with it."""
        x = self.arrays.get("x")
        if x is None or x.ndim not in ndims or x.dtype.kind not in "fiu" or not x.size:
            raise self.wrong(f"numbers x {shape}")
        values = to_float32(x)
        return values if x.ndim == ndims[1] else values[..., np.newaxis]

    def of_kind(self, name: str, shape: Shape, kinds: str, described: str) -> Array:
        """An array of some shape, in which None is any size, and of some kinds of numbers or text."""
        array = self.arrays.get(name, np.array(None))
        sizes = [size if want is None else want for want, size in zip(shape, array.shape, strict=False)]
        if array.dtype.kind not in kinds or array.ndim != len(shape) or list(array.shape) != sizes:
            expected = ", ".join("any" if size is None else str(size) for size in shape)
            raise self.wrong(f"{described} {name} ({expected})")
        return array

    def integers(self, name: str, shape: Shape) -> NDArray[np.int64]:
        """An array of whole numbers."""
        return self.of_kind(name, shape, "iu", "whole numbers").astype(np.int64, copy=False)

    def texts(self, name: str, shape: Shape) -> NDArray[np.str_]:
        """An array of text or whole numbers, as text."""
        return self.of_kind(name, shape, "Uiu", "text or whole numbers").astype(np.str_)

    def channels(self, num_channels: int) -> tuple[str, ...]:
        """Names of the channels."""
        if "channels" not in self:
            return numbered(num_channels)
        return tuple(self.texts("channels", (num_channels,)).tolist())

    def groups(self, size: int) -> list[str | None]:
        """The group of each series or recording."""
        return self.texts("groups", (size,)).tolist() if "groups" in self else [None] * size


def shapes_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Names, shapes and kinds of arrays, for messages; empty without arrays."""
    return ", ".join(f"{name} {array.shape} {array.dtype}" for name, array in arrays.items())


def read_arrays(path: Path, *, labelled: bool = True) -> list[Recording]:
    """The recordings of an `.npz` file, with or without labels; a series is a recording of one segment.

    Raises:
        DataError: no such file, another layout, or lengths and segments that do not fit; the message lists what the
            file has.
    """
    known = layouts(ArrayLayout)
    arrays = Arrays(path, load(path, [*NAMES, *(name for layout in known for name in layout.names)]))
    for layout in known:
        if all(name in arrays for name in layout.names):
            arrays = renamed(arrays, layout)
    return recordings_of(arrays, labelled) if "segments" in arrays else series_of(arrays, labelled)


def load(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file that have one of some names; raises DataError at damage and at pickled objects."""
    with open_file(path) as file:
        if not zipfile.is_zipfile(file):
            raise DataError(f"{path}: not an .npz archive, or cut off; write it with numpy.savez")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as archive:
                found = {name: archive[name] for name in names if name in archive.files}
        except DAMAGE as error:
            if "allow_pickle" in str(error):
                remedy = "holds arrays of Python objects; write numbers with astype(float), text with astype(str)"
            else:
                remedy = "cannot be read, it is damaged; write it anew with numpy.savez"
            raise DataError(f"{path}: {remedy}") from None
    for name, array in found.items():
        if not isinstance(array, np.ndarray):  # numpy returns bytes for a member without the header of an array
            raise DataError(f"{path}: {name} is no array; write the file anew with numpy.savez")
    return found


def series_of(arrays: Arrays, labelled: bool) -> list[Recording]:
    """Recordings of the layout of series."""
    values = arrays.values((2, 3), "(series, time, channels) or (series, time)")
    num_series, num_steps, num_channels = values.shape
    lengths = np.full(num_series, num_steps)
    if "lengths" in arrays:
        lengths = arrays.integers("lengths", (num_series,))
        if lengths.min() < 1 or lengths.max() > num_steps:
            raise arrays.wrong(f"lengths from 1 to {num_steps}, got {lengths.min()} to {lengths.max()}")
    segments = [[Segment(None, 0, int(length))] for length in lengths]
    if labelled:
        is_by_step = arrays.arrays.get("y", lengths).ndim == 2
        y = arrays.texts("y", (num_series, num_steps) if is_by_step else (num_series,)).reshape(num_series, -1)
        segments = [runs(labels, int(length), is_by_step) for labels, length in zip(y, lengths, strict=True)]
    channels, groups = arrays.channels(num_channels), arrays.groups(num_series)
    return [
        Recording(values[i, : lengths[i]], segments[i], f"{arrays.path} series {i + 1}", groups[i], channels)
        for i in range(num_series)
    ]


def recordings_of(arrays: Arrays, labelled: bool) -> list[Recording]:
    """Recordings of the layout of recordings."""
    values = arrays.values((1, 2), "(steps, channels) or (steps,)")
    lengths = arrays.integers("lengths", (None,))
    if lengths.min(initial=1) < 1 or lengths.sum() != len(values):
        raise arrays.wrong(f"lengths above 0 that add up to the {len(values)} steps of x, got {lengths.sum()}")
    segments = segments_by_recording(arrays, lengths) if labelled else [[Segment(None, 0, int(n))] for n in lengths]
    channels, groups = arrays.channels(values.shape[1]), arrays.groups(len(lengths))
    return [
        Recording(part, segments[i], f"{arrays.path} recording {i + 1}", groups[i], channels)
        for i, part in enumerate(np.split(values, lengths.cumsum()[:-1]))
    ]


def segments_by_recording(arrays: Arrays, lengths: NDArray[np.int64]) -> list[list[Segment]]:
    """The segments of each recording, in order of time; raises DataError at one outside of it or over another one."""
    rows = arrays.integers("segments", (None, 3))
    labels = arrays.texts("y", (len(rows),))
    found: list[list[Segment]] = [[] for _ in lengths]
    for row in np.argsort(rows[:, 1], kind="stable"):
        recording, start, stop = rows[row].tolist()
        if not (0 <= recording < len(lengths) and 0 <= start < stop <= lengths[recording]):
            raise arrays.wrong(f"segments within their recordings, got {(recording, start, stop)} in row {row + 1}")
        if found[recording] and found[recording][-1].stop > start:
            raise arrays.wrong(f"segments that do not overlap, got {(recording, start, stop)} in row {row + 1}")
        found[recording].append(Segment(str(labels[row]), start, stop))
    return found


def renamed(arrays: Arrays, layout: ArrayLayout) -> Arrays:
    """The arrays of a layout under the names of recordings; raises DataError at an unknown recording or label."""
    (recordings, columns), (segments, segment_columns) = layout.recordings, layout.segments
    table = dict(zip(columns, arrays.integers(recordings, (None, len(columns))).T, strict=True))
    rows = dict(zip(segment_columns, arrays.integers(segments, (None, len(segment_columns))).T, strict=True))
    numbers, labels = table["recording"].tolist(), np.array(layout.labels)
    if not (np.isin(rows["recording"], numbers).all() and np.isin(rows["label"], np.arange(len(labels)) + 1).all()):
        raise arrays.wrong(f"{segments} of recordings in {recordings}, with labels from 1 to {len(labels)}")
    recording = np.array([numbers.index(number) for number in rows["recording"]], np.int64)
    ours = {
        "x": arrays.arrays[layout.values],
        "lengths": table["length"],
        "segments": np.stack([recording, rows["first"] - 1, rows["last"]], axis=1),
        "y": labels[rows["label"] - 1],
        "groups": table["group"],
    }
    return Arrays(arrays.path, ours)


def runs(labels: NDArray[np.str_], length: int, is_by_step: bool) -> list[Segment]:
    """The segments of one series, given its label, (1,), or a label for each step, (time,)."""
    if not is_by_step:
        return [Segment(str(labels[0]), 0, length)]
    names, codes = np.unique(labels[:length], return_inverse=True)
    return segments_of(np.where(names == "", -1, np.arange(len(names)))[codes], names.tolist())
