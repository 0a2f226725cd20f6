"""Labelled series from files, by split: the examples of a classifier of series."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from recurra.config import Names, Shares
from recurra.data.catalogue import image_layout, locate
from recurra.data.series.archives import read_archive
from recurra.data.series.arrays import read_arrays
from recurra.data.series.images import View, image_recordings
from recurra.data.series.segments import Recording, Series, labelled_windows, whole_series, windows_ahead, without_steps
from recurra.data.series.tables import ColumnOptions, read_series_table
from recurra.data.splits import SPLITS, UNSPLIT, complete_splits, consecutive, divide_groups, find_files
from recurra.data.tables import KINDS as TABLES
from recurra.errors import DataError, counted, listed
from recurra.progress import Progress

KINDS = (".ts", ".npz", *TABLES)
SILENT = Progress()


class SeriesOptions(ColumnOptions):
    """How files become labelled series in splits."""

    labels: Names | None = Field(None, description="labels to keep; none: all")
    window: int | None = Field(
        None, ge=1, description="steps of the windows into which recordings are cut; none: uncut"
    )
    overlap: int = Field(0, ge=0, description="steps that a window shares with the one before")
    ahead: int | None = Field(
        None, ge=1, description="steps after the end of a window to the step with its label; the split is then by time"
    )
    valid_groups: Names | None = Field(None, description="groups for validation; none: chosen by a hash")
    test_groups: Names | None = Field(None, description="groups for testing; none: chosen by a hash")
    shares: Shares = Field(
        (0.8, 0.1, 0.1),
        description="training, validation and test share of groups, or else of series, if files say no split",
    )
    view: View = Field("rows", description="of images: a step for each row, or for each pixel")
    permutation_seed: int | None = Field(
        None, ge=0, description="of images: seed of a random order of the pixels; none: as on paper"
    )

    @model_validator(mode="after")
    def values_fit_together(self) -> "SeriesOptions":
        """An overlap is shorter than the window, and no group is in two splits."""
        if self.overlap >= (self.window or 1):
            raise ValueError("an overlap smaller than window" if self.window else "window where there is an overlap")
        if self.ahead and (not self.window or self.valid_groups or self.test_groups):
            raise ValueError("window, and no groups to hold out, where there is ahead: the split is by time")
        twice = set(self.valid_groups or []) & set(self.test_groups or [])
        if twice:
            raise ValueError(f"each group in one of valid_groups and test_groups; {sorted(twice)[0]} is in both")
        return self


def find_series(path: str, options: SeriesOptions, progress: Progress = SILENT) -> dict[str, list[Series]]:
    """Labelled series by split, from a file, a folder, or the name of a data set.

    Names of files or folders say the split: train, valid (val, dev) or test, as in `Toy_TRAIN.ts`. Otherwise groups
    named in the options go to their split, other groups are split by the SHA-256 of their names, and series without a
    group by the SHA-256 of their values. Validation series are taken from the training series where none are given.
    Recordings are split before they are cut into windows. With `ahead` each recording is split by time instead, the
    training share first, whatever the names of files. A folder of labelled images in idx files, such as MNIST, has its
    own training and test split.

    Args:
        path: what to read.
        options: how to read and split it.
        progress: gets notes on what was left out.

    Returns:
        "train", "valid", and "test" unless files give only the others; each in the order of the files.

    Raises:
        DataError: no such file, folder or data set, bad content, different channels, unknown groups or labels, or a
            split without series.
    """
    found = find_recordings(locate(path), options, progress)
    recordings = [recording for part in found.values() for recording in part]
    known = {str(segment.label) for recording in recordings for segment in recording.segments}
    refuse_unknown_labels(path, known, options.labels or [])
    if options.ahead:
        return split_by_time(path, recordings, options)
    for split, part in found.items():
        found[split] = with_series(part, options, progress, path if split == "all" else f"{path}, {split} files")
    groups = {"valid": options.valid_groups, "test": options.test_groups}
    parts = split_recordings(path, found, groups, options.shares)
    return {split: cut_all(part, options) for split, part in parts.items()}


def held_out_series(path: str, options: SeriesOptions, progress: Progress = SILENT) -> dict[str, list[Series]]:
    """Series for evaluation by the split that names of files say, or else "all"; errors as of `find_series`."""
    found = find_recordings(locate(path), options, progress)
    return {
        split: cut_all(with_series(part, options, progress, path), options)
        for split, part in found.items()
        if split != "train" or len(found) == 1
    }


def split_recordings(
    path: str, found: Mapping[str, list[Recording]], groups: Mapping[str, list[str] | None], shares: Shares
) -> dict[str, list[Recording]]:
    """Recordings for training, validation and test, each in the order found; where files say no split, by groups.

    Args:
        path: where they are from, for messages.
        found: recordings by the split that files say, or under "all".
        groups: those of "valid" and of "test"; None where files or else a hash decide.
        shares: of training, validation and test, of what a hash decides.

    Raises:
        DataError: a group that does not exist, or too few groups or recordings to split.
    """
    found = dict(found)
    rest = "train" if "train" in found else UNSPLIT
    for split, names in groups.items():
        if names is None:
            continue
        if split in found:
            raise DataError(f"{path}: has files for the {split} split; leave out --{split}-groups")
        found[split] = of_groups(path, found[rest], names)
        found[rest] = [recording for recording in found[rest] if recording.group not in names]
    return complete_splits(found, partial(split_by_group, path=path), shares, path, "series")


def of_groups(path: str, recordings: list[Recording], groups: list[str]) -> list[Recording]:
    """The recordings of some groups; raises DataError for a group that does not exist."""
    known = {recording.group for recording in recordings if recording.group is not None}
    for group in groups:
        if group not in known:
            has = f"it has {listed(sorted(known))}" if known else "its series have no groups"
            raise DataError(f"{path}: no group {group!r}; {has}")
    return [recording for recording in recordings if recording.group in groups]


def split_by_group(recordings: Sequence[Recording], shares: dict[str, float], path: str) -> dict[str, list[Recording]]:
    """Recordings by a hash of their groups or else values; raises DataError for fewer of these than splits."""
    digests = [group_digest(recording) for recording in recordings]
    if len(set(digests)) < len(shares):
        expected = f"{len(shares)} groups, or different series without a group, to split into {', '.join(shares)}"
        remedy = "Give more, or files called train, valid and test in a folder"
        raise DataError(f"{path}: expected {expected}; got {len(set(digests))}. {remedy}")
    return divide_groups(recordings, digests, shares)


def group_digest(recording: Recording) -> str:
    """SHA-256 of what must stay on one side of a split: the name of the group, or else the values."""
    if recording.group is not None:
        return hashlib.sha256(recording.group.encode()).hexdigest()
    values = np.ascontiguousarray(recording.values)
    return hashlib.sha256(f"{values.shape}".encode() + values.tobytes()).hexdigest()


def split_by_time(path: str, recordings: list[Recording], options: SeriesOptions) -> dict[str, list[Series]]:
    """Windows by split; each recording is cut at the shares of its time. Raises DataError for a split without."""
    parts = zip(SPLITS, consecutive(options.shares), strict=True)
    found = {split: cut_all(recordings, options, part) for split, part in parts}
    for split, windows in found.items():
        if not windows:
            raise DataError(f"{path}: no {describe_wanted(options)} in {split}; give more data, or a smaller window")
    return found


def find_recordings(path: Path, options: SeriesOptions, progress: Progress) -> dict[str, list[Recording]]:
    """The recordings of each split, or under "all" where they are not split, all of the same channels."""
    layout = image_layout(path)
    if layout:
        parts = {
            split: image_recordings(path, split, layout, options.view, options.permutation_seed)
            for split in layout.files
        }
        return {split: [with_channels(one, options.channels) for one in part] for split, part in parts.items()}
    files = {UNSPLIT: [path]} if path.is_file() else find_files(path, KINDS)
    if not any(files.values()):
        raise DataError(f"{path}: no file of series in it; expected files ending in {', '.join(KINDS)}")
    found = {
        split: [one for file in files[split] for one in read_recordings(file, options, progress)] for split in files
    }

    refuse_mixed_channels([recording for part in found.values() for recording in part])
    return found


def read_series(
    path: Path, options: SeriesOptions, progress: Progress = SILENT, *, labelled: bool = True
) -> list[Series]:
    """The series of a file, unsplit.

    Args:
        path: a `.ts` archive, `.npz` arrays (`recurra.data.series.arrays` says which) or a table of long form.
        options: how to read it.
        progress: gets notes on what was left out.
        labelled: whether to read labels and groups.

    Raises:
        DataError: another format, bad content, or no series.
    """
    if not labelled:
        options = options.model_copy(update={"labels": None})
    recordings = read_recordings(path, options, progress, labelled=labelled)
    if labelled:
        recordings = with_series(recordings, options, progress, str(path))
    found = cut_all(recordings, options)
    if not found:
        longest = max(len(recording.values) for recording in recordings)
        raise DataError(f"{path}: {counted(longest, 'step')}, expected a window of {options.window}; give more data")
    return found


def read_recordings(
    path: Path, options: SeriesOptions, progress: Progress, *, labelled: bool = True
) -> list[Recording]:
    """The recordings of a file with the channels of the options, without bad steps; arguments as in `read_series`.

    Raises:
        DataError: another format, bad content, or no step without a missing value.
    """
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return read_series_table(path, options, progress, labelled=labelled, one_label=options.window is None)
    if suffix not in KINDS:
        raise DataError(f"{path}: not a file of series; expected one ending in {', '.join(KINDS)}")
    read = read_archive if suffix == ".ts" else read_arrays
    recordings = [with_channels(recording, options.channels) for recording in read(path, labelled=labelled)]
    good = [without_bad_steps(recording, options) for recording in recordings]
    dropped = sum(len(recording.values) for recording in recordings) - sum(len(recording.values) for recording in good)
    if dropped:
        progress.note(f"{path}: left out {counted(dropped, 'step')} with a missing value")
    good = [recording for recording in good if len(recording.values)]
    if not good:
        raise DataError(f"{path}: every step has a missing value")
    return good


def with_channels(recording: Recording, names: list[str] | None) -> Recording:
    """A recording with only some of its channels; raises DataError if one is missing."""
    if names is None:
        return recording
    missing = [name for name in names if name not in recording.channels]
    if missing:
        raise DataError(f"{recording.name}: no channel {missing[0]!r}; it has {listed(recording.channels)}")
    picked = [recording.channels.index(name) for name in names]
    return recording._replace(values=recording.values[:, picked], channels=tuple(names))


def without_bad_steps(recording: Recording, options: SeriesOptions) -> Recording:
    """A recording without the steps that have a missing value; raises DataError if they may not be left out."""
    bad = ~np.isfinite(recording.values)
    if not bad.any():
        return recording
    step, channel = np.argwhere(bad)[0].tolist()
    if options.on_bad == "fail":
        raise DataError(
            f"{recording.name}: channel {recording.channels[channel]} has no finite value at step {step + 1}; "
            "correct it, or leave out such steps with --on-bad drop"
        )
    return without_steps(recording, np.any(bad, axis=1))


def refuse_mixed_channels(recordings: list[Recording]) -> None:
    """Refuse recordings whose channels differ."""
    first = recordings[0]
    for other in recordings:
        if other.channels != first.channels:
            raise DataError(
                f"{other.name}: its channels are {', '.join(other.channels)}, those of {first.name} are "
                f"{', '.join(first.channels)}; expected the same everywhere"
            )


def refuse_unknown_labels(path: str, known: Set[str], labels: list[str]) -> None:
    """Refuse labels that do not exist."""
    unknown = [label for label in labels if label not in known]
    if unknown:
        raise DataError(f"{path}: no label {unknown[0]!r}; it has {listed(sorted(known))}")


def cut_series(recording: Recording, options: SeriesOptions, part: tuple[float, float] = (0, 1)) -> list[Series]:
    """The series of a recording with a label to keep: windows, or without `window` the whole recording.

    With `ahead`, `part` is begin and end of the steps with the labels, as shares of the time.
    """
    if options.window is not None and options.ahead is not None:
        windows = windows_ahead(recording, options.window, options.ahead, options.window - options.overlap, part)
        return [one for one in windows if options.labels is None or one.label in options.labels]
    if options.window is not None:
        return labelled_windows(recording, options.window, options.overlap, options.labels)
    series = whole_series(recording)
    return [series] if options.labels is None or series.label in options.labels else []


def cut_all(
    recordings: Iterable[Recording], options: SeriesOptions, part: tuple[float, float] = (0, 1)
) -> list[Series]:
    """The series of some recordings; see `cut_series`."""
    return [one for recording in recordings for one in cut_series(recording, options, part)]


def with_series(recordings: list[Recording], options: SeriesOptions, progress: Progress, name: str) -> list[Recording]:
    """The recordings from which series can be cut; raises DataError if there is none."""
    found = [recording for recording in recordings if cut_series(recording, options)]
    if not found:
        hint = "" if options.window is None else ", or a smaller window"
        raise DataError(f"{name}: no {describe_wanted(options)}; give more data{hint}")
    if options.window is not None and len(found) < len(recordings):
        without = len(recordings) - len(found)
        progress.note(f"{name}: no {describe_wanted(options)} in {without} of {counted(len(recordings), 'recording')}")
    return found


def describe_wanted(options: SeriesOptions) -> str:
    """The series wanted, in words."""
    which = f" labelled {' or '.join(options.labels)}" if options.labels else ""
    if options.window is None:
        return f"series{which}"
    if options.ahead is not None:
        return f"window of {options.window} steps with a label {counted(options.ahead, 'step')} after it{which}"
    return f"segment of {options.window} steps of one label{which}"
