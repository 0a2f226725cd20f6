"""Which recordings a model is trained, validated and tested on: what files and groups say, else a hash."""

import hashlib
from collections.abc import Mapping
from itertools import accumulate, pairwise

import numpy as np

from recurra.config import Shares
from recurra.data.series.segments import Recording
from recurra.errors import DataError, listed


def split_recordings(
    path: str,
    found: Mapping[str, list[Recording]],
    groups: Mapping[str, list[str] | None],
    shares: Shares,
) -> dict[str, list[Recording]]:
    """Recordings of train, valid and test, each in the order found.

    Args:
        path: where they are from, for messages.
        found: recordings by the split that files say, or under "all" where they say none.
        groups: those of "valid" and of "test"; None where files say, or else a hash.
        shares: training, validation and test share of what goes by hash.

    Returns:
        "train", "valid", and "test" unless files say only the others.

    Raises:
        DataError: a group that is not there, or too few groups or recordings to split.
    """
    rest = found.get("all") or found["train"]
    splits = {split: part for split, part in found.items() if split not in ("all", "train")}
    for split, names in groups.items():
        if names is None:
            continue
        if split in splits:
            raise DataError(f"{path}: has files for the {split} split; leave out --{split}-groups")
        splits[split] = of_groups(path, rest, names)
        rest = [recording for recording in rest if recording.group not in names]
    by_hash = ("train", "valid", "test") if "all" in found else ("train", "valid")
    wanted = {split: share for split, share in zip(by_hash, shares, strict=False) if split not in splits}
    splits |= divide(path, rest, wanted)
    return {split: splits[split] for split in ("train", "valid", "test") if split in splits}


def of_groups(path: str, recordings: list[Recording], groups: list[str]) -> list[Recording]:
    """The recordings of some groups.

    Raises:
        DataError: one is not there.
    """
    there = {recording.group for recording in recordings if recording.group is not None}
    for group in groups:
        if group not in there:
            has = f"it has {listed(sorted(there))}" if there else "its series have no groups"
            raise DataError(f"{path}: no group {group!r}; {has}")
    return [recording for recording in recordings if recording.group in groups]


def divide(path: str, recordings: list[Recording], shares: dict[str, float]) -> dict[str, list[Recording]]:
    """Recordings in parts of about the given shares: a group, or recordings of equal values, stay together.

    Raises:
        DataError: fewer groups or recordings than parts.
    """
    units = [unit_of(recording) for recording in recordings]
    order = sorted(set(units))
    if len(order) < len(shares):
        raise DataError(
            f"{path}: expected {len(shares)} groups, or different series without a group, to split into "
            f"{', '.join(shares)}; got {len(order)}. Give more, or files called train, valid and test in a folder"
        )
    cuts = [0]
    for part, share in enumerate(accumulate(shares.values()), 1):
        wanted = round(len(order) * share / sum(shares.values()))
        cuts.append(min(max(wanted, cuts[-1] + 1), len(order) - (len(shares) - part)))  # each part has at least one
    part_of = {
        unit: name for name, (first, last) in zip(shares, pairwise(cuts), strict=True) for unit in order[first:last]
    }
    return {
        name: [recording for unit, recording in zip(units, recordings, strict=True) if part_of[unit] == name]
        for name in shares
    }


def unit_of(recording: Recording) -> str:
    """SHA-256 of what must stay on one side of a split: the group, or else the values."""
    if recording.group is not None:
        return hashlib.sha256(recording.group.encode()).hexdigest()
    values = np.ascontiguousarray(recording.values)
    return hashlib.sha256(f"{values.shape}".encode() + values.tobytes()).hexdigest()
