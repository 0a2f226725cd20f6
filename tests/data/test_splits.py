"""Splits by a hash: the same on any machine, no key on two sides, shares as asked for."""

import math
from collections.abc import Sequence
from hashlib import sha256
from itertools import chain
from operator import itemgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.splits import (
    SPLITS,
    choose_split,
    complete_splits,
    consecutive,
    data_files,
    files_by_split,
    find_files,
    split_by_hash,
    split_groups,
    uniform_hash,
)
from recurra.errors import DataError

SHARES = (0.7, 0.2, 0.1)
SHARE_OF = dict(zip(SPLITS, SHARES, strict=True))
COUNT = 5000
KEYS = [f"key {number}" for number in range(COUNT)]


def test_keys_fall_where_they_always_fell() -> None:
    """SHA-256 of a key's UTF-8, its first 64 bits as a number below 1: the splits of runs that are there hang on it."""
    numbers = {"": 0.8894, "a": 0.7914, "the cat sat": 0.4654, "naïve 🙂": 0.49997, "0": 0.3747}
    for key, number in numbers.items():
        assert choose_split(key, {str(hundredth): 0.01 for hundredth in range(100)}) == str(int(number * 100))
        assert choose_split(key, {"train": number - 1e-4, "valid": 2e-4, "test": 1 - number - 1e-4}) == "valid"
    assert split_by_hash(numbers, {"train": 0.47, "valid": 0.4, "test": 0.13}, str) == {
        "train": ["the cat sat", "0"],
        "valid": ["a", "naïve 🙂"],
        "test": [""],
    }


def near(count: int, share: float, total: int = COUNT) -> bool:
    """Within four deviations of a binomial."""
    return abs(count - total * share) < 4 * math.sqrt(total * share * (1 - share))


def test_shares_are_about_those_asked_for() -> None:
    found = split_by_hash(KEYS, SHARE_OF, str)
    assert list(found) == list(SPLITS)
    for part, share in zip(found.values(), SHARES, strict=True):
        assert near(len(part), share)
    assert sorted(key for part in found.values() for key in part) == sorted(KEYS)
    for part in found.values():
        assert part == sorted(part, key=KEYS.index)  # in the order they came


@given(keys=st.lists(st.text("ab\ud800", max_size=2), max_size=40))
def test_equal_keys_are_on_one_side_and_no_item_is_lost(keys: list[str]) -> None:
    found = split_by_hash([(key, place) for place, key in enumerate(keys)], SHARE_OF, itemgetter(0))
    assert sorted(place for part in found.values() for _, place in part) == list(range(len(keys)))
    assert sum(len({key for key, _ in part}) for part in found.values()) == len(set(keys))


def test_a_larger_training_share_keeps_what_was_training() -> None:
    """One number a key: shares move the borders, they do not shuffle."""
    small, large = (
        set(split_by_hash(KEYS, {"train": share, "valid": 0.1, "test": 0.9 - share}, str)["train"])
        for share in (0.3, 0.6)
    )
    assert small < large


@pytest.mark.parametrize(
    ("num_keys", "shares", "sizes"),
    [
        (3, (0.8, 0.1, 0.1), [1, 1, 1]),
        (6, (0.8, 0.1, 0.1), [4, 1, 1]),
        (40, (0.7, 0.2, 0.1), [28, 8, 4]),
        (5, (0.1, 0.1, 0.8), [1, 1, 3]),
        (2, (0.99, 0.01), [1, 1]),
    ],
)
def test_few_keys_are_dealt_so_that_no_share_is_empty(
    num_keys: int, shares: tuple[float, ...], sizes: list[int]
) -> None:
    digests = [sha256(key.encode()).hexdigest() for key in KEYS[:num_keys]]
    share_of = dict(zip(SPLITS, shares, strict=False))
    found = split_groups(digests * 2, share_of)
    assert [list(found.values()).count(split) for split in share_of] == sizes
    assert split_groups(digests[::-1], share_of) == found
    order = sorted(KEYS[:num_keys], key=uniform_hash)
    sides = [list(SPLITS).index(found[sha256(key.encode()).hexdigest()]) for key in order]
    assert sides == sorted(sides)
    assert order != KEYS[:num_keys] or num_keys < 4
    assert split_groups(digests, {split: 3 * share for split, share in share_of.items()}) == found


def by_key(items: Sequence[int], shares: dict[str, float]) -> dict[str, list[int]]:
    return split_by_hash(items, shares, lambda number: KEYS[number % COUNT])


def test_validation_out_of_training() -> None:
    test = [-1]
    found = complete_splits({"train": list(range(COUNT)), "test": test}, by_key, (0.3, 0.2, 0.5), "there", "numbers")
    assert sorted(found["train"] + found["valid"]) == list(range(COUNT))
    assert near(len(found["valid"]), 0.4)
    assert found["test"] is test
    doubled = complete_splits({"train": list(range(2 * COUNT))}, by_key, SHARES, "there", "numbers")
    assert list(doubled) == ["train", "valid"]
    assert {number % COUNT for number in doubled["train"]}.isdisjoint(number % COUNT for number in doubled["valid"])


def test_validation_that_is_there_stays() -> None:
    splits = {"train": [1, 2, 3], "valid": [4]}
    assert complete_splits(splits, by_key, SHARES, "there", "numbers") == splits


def test_items_without_a_split_are_divided_and_a_given_test_split_stays() -> None:
    found = complete_splits({"all": list(range(COUNT))}, by_key, SHARES, "there", "numbers")
    assert found == by_key(range(COUNT), SHARE_OF)
    held = complete_splits({"all": list(range(COUNT)), "test": [-1]}, by_key, (0.3, 0.2, 0.5), "there", "numbers")
    assert held["test"] == [-1]
    assert near(len(held["valid"]), 0.4)
    assert sorted(held["train"] + held["valid"]) == list(range(COUNT))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"test": [1], "valid": [2]}, "there: its numbers are for test, valid; expected some for train, or no splits"),
        ({"all": []}, "there: no numbers there; expected some$"),
        ({"train": []}, "there: no numbers for train there; expected some$"),
        ({"train": [1], "valid": []}, "there: no numbers for valid; give more data or other shares"),
    ],
)
def test_a_split_without_items_is_refused(found: dict[str, list[int]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        complete_splits(found, by_key, SHARES, "there", "numbers")


def test_parts_that_follow_each_other() -> None:
    assert consecutive([5, 2, 4]) == [(0, 5), (5, 7), (7, 11)]
    assert consecutive([]) == []


def test_files_by_what_their_names_say(tmp_path: Path) -> None:
    names = {
        "train": ["a.train.txt", "train/x.csv"],
        "valid": ["dev.txt", "val/y.csv", "x-valid.txt"],
        "test": ["TEST.txt", "test/deep/z"],
        "all": ["notes.txt", "trains.txt"],
    }
    for name in ["README.md", "License", "MANIFEST.sha256", ".git/train.txt", *chain.from_iterable(names.values())]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")

    def relative(files: dict[str, list[Path]]) -> dict[str, list[str]]:
        return {split: [file.relative_to(tmp_path).as_posix() for file in part] for split, part in files.items()}

    unsplit = names.pop("all")
    assert relative(find_files(tmp_path)) == {split: sorted(part) for split, part in names.items()}
    assert relative(find_files(tmp_path, [".csv"])) == {"train": ["train/x.csv"], "valid": ["val/y.csv"]}
    assert relative(find_files(tmp_path, [".npz"])) == {"all": []}
    held_out = [file for file in data_files(tmp_path) if "train" not in file.relative_to(tmp_path).as_posix()]
    assert relative(files_by_split(held_out, tmp_path)) == {
        "all": sorted([*names["valid"], *names["test"], unsplit[0]])
    }
    assert find_files(tmp_path / "a.train.txt") == {"all": [tmp_path / "a.train.txt"]}
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: an empty folder"):
        find_files(tmp_path / "empty")
