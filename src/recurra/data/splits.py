"""Training, validation and test split of every kind of data.

A split is what the names of files and folders say. Where they say nothing, items are split by a hash of their own key,
by a hash of a group that must stay together, or by their position in a text or in time.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TypeVar

from recurra.config import Shares
from recurra.errors import DataError, shortened

SPLIT_NAMES = {"train": ("train",), "valid": ("valid", "val", "dev"), "test": ("test",)}
SPLITS = tuple(SPLIT_NAMES)
UNSPLIT = "all"  # the key of data that no name assigns to a split
DOCUMENTATION = ("README", "LICENSE", "MANIFEST")  # files about the data

Item = TypeVar("Item")
Part = TypeVar("Part")
Divide = Callable[[Sequence[Item], dict[str, float]], dict[str, list[Item]]]  # items by split, given its share


# --- by name -------------------------------------------------------------------------------------------------------


def split_of(file: Path) -> str | None:
    """The split that the name of a file or of a folder above it says: `train.txt`, `ptb.valid.txt`, `dev/a.csv`."""
    stem = file.stem.lower()
    names = {stem.split(".")[0], re.split(r"[.\-_]", stem)[-1], *(folder.lower() for folder in file.parts[:-1])}
    return next((split for split, accepted in SPLIT_NAMES.items() if names & set(accepted)), None)


def parse_split(cell: str, place: str) -> str:
    """The split that a cell of a table names, in any case; raises DataError with the place of the cell where none."""
    known = {name: split for split, accepted in SPLIT_NAMES.items() for name in accepted}
    name = cell.strip().lower()
    if name not in known:
        raise DataError(f"{place}: split {shortened(cell)!r}; expected one of {', '.join(known)}")
    return known[name]


def folder_files(folder: Path) -> list[Path]:
    """The visible files of a folder and of those below it, sorted by path; raises DataError where there are none."""
    found = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    files = sorted(folder / name for name in found if not any(part.startswith(".") for part in name.parts))
    if not files:
        raise DataError(f"{folder}: an empty folder; expected text files")
    return files


def data_files(place: Path, kinds: Collection[str] | None = None) -> list[Path]:
    """The file itself, or the files of a folder without README, LICENSE and MANIFEST files, of any or some endings.

    Raises:
        DataError: an empty folder.
    """
    files = [place]
    if place.is_dir():
        files = [file for file in folder_files(place) if file.stem.upper() not in DOCUMENTATION]
    return [file for file in files if kinds is None or file.suffix.lower() in kinds]


def files_by_split(
    files: Sequence[Path], folder: Path, split_of: Callable[[Path], str | None] = split_of
) -> dict[str, list[Path]]:
    """Files under the splits that their names say, if one is for training; else all of them under "all".

    Where one is for training, files whose names say no split are left out.

    Args:
        files: in the order wanted.
        folder: what their paths are relative to.
        split_of: the split that a relative path says, None where it says none.
    """
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(split_of(file.relative_to(folder)) or UNSPLIT, []).append(file)
    return {split: found[split] for split in SPLITS if split in found} if "train" in found else {UNSPLIT: list(files)}


def find_files(place: Path, kinds: Collection[str] | None = None) -> dict[str, list[Path]]:
    """The data files of a file or folder by split, see `data_files` and `files_by_split`."""
    return files_by_split(data_files(place, kinds), place)


def held_out_splits(splits: dict[str, Part]) -> dict[str, Part]:
    """Every split but the training one."""
    return {split: part for split, part in splits.items() if split != "train"}


def refuse_partial_splits(splits: Collection[str], place: Path, things: str) -> None:
    """Refuse data with some examples in a split and others in none."""
    if UNSPLIT in splits and len(splits) > 1:
        found = ", ".join(sorted("none" if split == UNSPLIT else split for split in splits))
        raise DataError(f"{place}: its {things} are for {found}; expected each for one, or no splits")


# --- by hash -------------------------------------------------------------------------------------------------------


def uniform_hash(key: str) -> float:
    """A number in [0, 1) that depends on the key alone, on every machine, and is spread uniformly over keys."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:8], "big") / 2**64


def choose_split(key: str, shares: Mapping[str, float]) -> str:
    """The split of a key, whatever other keys there are: `uniform_hash` cut at the shares, which add up to 1."""
    number = uniform_hash(key)
    *others, last = shares
    for split in others:
        if number < shares[split]:
            return split
        number -= shares[split]
    return last


def split_by_hash(
    items: Iterable[Item], shares: Mapping[str, float], key_of: Callable[[Item], str]
) -> dict[str, list[Item]]:
    """Items by a hash of their keys: those of one key are on one side, and further items move none of the others.

    Their order is kept; shares are of any sum.
    """
    total = sum(shares.values())
    normalized = {split: share / total for split, share in shares.items()}
    found: dict[str, list[Item]] = {split: [] for split in shares}
    for item in items:
        found[choose_split(key_of(item), normalized)].append(item)
    return found


def split_groups(digests: Iterable[str], shares: Mapping[str, float]) -> dict[str, str]:
    """The split of each group such that no split is empty: for groups that are few.

    Sorted by digest they are in random order, the same on every machine; this order is cut at the shares.

    Args:
        digests: SHA-256 of each group in hexadecimal; at least as many different ones as splits.
        shares: of each split, of any sum.
    """
    order = sorted(set(digests))
    assert len(order) >= len(shares)
    found, start, total = {}, 0, sum(shares.values())
    for number, (split, end) in enumerate(zip(shares, accumulate(shares.values()), strict=True), 1):
        reserved = len(shares) - number  # one group for each split after this one
        stop = min(max(round(len(order) * end / total), start + 1), len(order) - reserved)
        found.update(dict.fromkeys(order[start:stop], split))
        start = stop
    return found


def divide_groups(items: Sequence[Item], digests: Sequence[str], shares: Mapping[str, float]) -> dict[str, list[Item]]:
    """Items by split such that those of one group are on one side; arguments as of `split_groups`, a digest an item."""
    split_of_group = split_groups(digests, shares)
    found: dict[str, list[Item]] = {split: [] for split in shares}
    for item, digest in zip(items, digests, strict=True):
        found[split_of_group[digest]].append(item)
    return found


# --- by position ---------------------------------------------------------------------------------------------------


def consecutive(sizes: Sequence[float]) -> list[tuple[float, float]]:
    """Begin and end of parts of some sizes that follow each other from 0 on."""
    return list(pairwise([0, *accumulate(sizes)]))


# --- what is missing -----------------------------------------------------------------------------------------------


def training_key(found: Mapping[str, Sequence[Item]], path: str, things: str) -> str:
    """The key of what a model can be trained on, "train" or "all"; raises DataError where there is nothing."""
    name = "train" if "train" in found else UNSPLIT
    if name not in found:
        raise DataError(
            f"{path}: its {things} are for {', '.join(sorted(found))}; expected some for train, or no splits"
        )
    if not found[name]:
        raise DataError(f"{path}: no {things}{' for train' if name == 'train' else ''} there; expected some")
    return name


def complete_splits(
    found: Mapping[str, list[Item]], divide: Divide[Item], shares: Shares, path: str, things: str
) -> dict[str, list[Item]]:
    """Training, validation and test items, where files say only some of these splits or none.

    Items under "all" are divided into the splits that are missing. Where there are training items, validation items
    are taken from them unless there are some; a missing test split stays missing.

    Args:
        found: items by the split that files say, or under "all".
        divide: distributes items among splits in given shares, such as `split_by_hash` of some key.
        shares: of training, validation and test.
        path: where the items are from, for messages.
        things: what messages call the items.

    Raises:
        DataError: nothing to train on, or a split without items.
    """
    rest = training_key(found, path, things)
    wanted = SPLITS if rest == UNSPLIT else ("train", "valid")
    missing = {
        split: share
        for split, share in zip(SPLITS, shares, strict=True)
        if split == "train" or (split in wanted and split not in found)
    }
    splits = {**found, **(divide(found[rest], missing) if len(missing) > 1 else {"train": found[rest]})}
    for split, items in splits.items():
        if not items and split != UNSPLIT:
            raise DataError(f"{path}: no {things} for {split}; give more data or other shares")
    return {split: splits[split] for split in SPLITS if split in splits}
