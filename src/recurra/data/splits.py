"""Which example is for training, which for validation, which for the test: by names of files, else by a hash."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from recurra.config import Shares
from recurra.data.text import SPLIT_NAMES, folder_files, split_of
from recurra.errors import DataError

SPLITS = tuple(SPLIT_NAMES)
Item = TypeVar("Item")
Part = TypeVar("Part")


def files_by_split(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder under the split that their names, or those of their folders, say; "all" for the others.

    Files that speak of the data (README, LICENSE, MANIFEST) are left out.

    Raises:
        DataError: no files.
    """
    found: dict[str, list[Path]] = {}
    for file in folder_files(folder):
        if file.stem.upper() not in ("README", "LICENSE", "MANIFEST"):
            found.setdefault(split_of(file.relative_to(folder)) or "all", []).append(file)
    return found


def all_but_train(splits: dict[str, Part]) -> dict[str, Part]:
    """What models are judged by: every split but the training one."""
    return {split: part for split, part in splits.items() if split != "train"}


def number_of(key: str) -> float:
    """A number from 0 to 1 that is as good as random, and for the same key always the same, on any machine."""
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:8], "big") / 2**64


def draw(key: str, shares: Sequence[float]) -> int:
    """Which of some shares a key falls into, whatever other keys there are."""
    number = number_of(key)
    for index, share in enumerate(shares[:-1]):
        if number < share:
            return index
        number -= share
    return len(shares) - 1


def deal(keys: Iterable[str], shares: Sequence[float]) -> dict[str, int]:
    """Which of some shares each key falls into, so that none stays empty: for keys that are few.

    Args:
        keys: at least as many different ones as there are shares.
        shares: of the number of keys; they add up to 1.
    """
    order = sorted(set(keys), key=number_of)
    assert len(order) >= len(shares)
    found, start = {}, 0
    for index, end in enumerate(accumulate(shares)):
        stop = len(order) - (len(shares) - 1 - index)  # one is left for each share that comes
        stop = min(max(round(end * len(order)), start + 1), stop)
        found.update(dict.fromkeys(order[start:stop], index))
        start = stop
    return found


def by_hash(items: Iterable[tuple[str, Item]], shares: Shares) -> dict[str, list[Item]]:
    """Split items by a hash of their keys: what has the same key is on the same side.

    Args:
        items: key and item.
        shares: of training, validation and test.
    """
    found: dict[str, list[Item]] = {split: [] for split in SPLITS}
    for key, item in items:
        found[SPLITS[draw(key, shares)]].append(item)
    return found


def completed(
    found: dict[str, list[Item]], key_of: Callable[[Item], str], shares: Shares, path: str, things: str
) -> dict[str, list[Item]]:
    """Training, validation and maybe test items; by a hash of their keys what the files do not say.

    Args:
        found: items by the split that files say, or under "all" where they say none.
        key_of: what decides into which split an item falls.
        shares: of training, validation and test.
        path: where they are from, for messages.
        things: what they are called there.

    Raises:
        DataError: a split without items, or none for training.
    """
    if trained_on(found, path, things) == "train":
        splits = with_validation(found, [key_of(item) for item in found["train"]], shares)
    else:
        splits = by_hash(((key_of(item), item) for item in found["all"]), shares)
    for split, items in splits.items():
        if not items:
            raise DataError(f"{path}: no {things} for {split}; give more data or other shares")
    return {split: splits[split] for split in SPLITS if split in splits}


def trained_on(found: dict[str, list[Item]], path: str, things: str) -> str:
    """Under which name those for training are found, "train" or "all"; arguments as of `completed`.

    Raises:
        DataError: there are none.
    """
    name = "train" if "train" in found else "all"
    if name not in found:
        raise DataError(
            f"{path}: its {things} are for {', '.join(sorted(found))}; expected some for train, or no splits"
        )
    if not found[name]:
        raise DataError(f"{path}: no {things}{' for train' if name == 'train' else ''} there; expected some")
    return name


def with_validation(splits: dict[str, list[Item]], keys: Sequence[str], shares: Shares) -> dict[str, list[Item]]:
    """The same, with validation examples taken from the training ones where there are none.

    Args:
        splits: "train" and maybe "valid" and "test".
        keys: of the training examples.
        shares: those of training and validation say how many.
    """
    if "valid" in splits:
        return splits
    share = shares[1] / (shares[0] + shares[1])
    parts: tuple[list[Item], list[Item]] = ([], [])
    for key, item in zip(keys, splits["train"], strict=True):
        parts[draw(key, (1 - share, share))].append(item)
    return {**splits, "train": parts[0], "valid": parts[1]}
