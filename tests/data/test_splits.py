"""Splits by a hash: the same on any machine, no key on two sides, shares as asked for."""

import math
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.splits import SPLITS, by_hash, deal, draw, files_by_split, number_of, with_validation
from recurra.errors import DataError

SHARES = (0.7, 0.2, 0.1)
COUNT = 5000
KEYS = [f"key {number}" for number in range(COUNT)]


def test_keys_fall_where_they_always_fell() -> None:
    """SHA-256 of a key's UTF-8, its first 64 bits as a number below 1: the splits of runs that are there hang on it."""
    numbers = {"": 0.8894, "a": 0.7914, "the cat sat": 0.4654, "naïve 🙂": 0.49997, "0": 0.3747}
    for key, number in numbers.items():
        assert draw(key, [0.01] * 100) == int(number * 100)
        assert draw(key, [number - 1e-4, 2e-4, 1 - number - 1e-4]) == 1
    assert by_hash(((key, key) for key in numbers), (0.47, 0.4, 0.13)) == {
        "train": ["the cat sat", "0"],
        "valid": ["a", "naïve 🙂"],
        "test": [""],
    }


def near(count: int, share: float, total: int = COUNT) -> bool:
    """Within four deviations of a binomial."""
    return abs(count - total * share) < 4 * math.sqrt(total * share * (1 - share))


def test_shares_are_about_those_asked_for() -> None:
    found = by_hash(((key, key) for key in KEYS), SHARES)
    assert list(found) == list(SPLITS)
    for part, share in zip(found.values(), SHARES, strict=True):
        assert near(len(part), share)
    assert sorted(key for part in found.values() for key in part) == sorted(KEYS)
    for part in found.values():
        assert part == sorted(part, key=KEYS.index)  # in the order they came


@given(keys=st.lists(st.text("ab\ud800", max_size=2), max_size=40))
def test_equal_keys_are_on_one_side_and_no_item_is_lost(keys: list[str]) -> None:
    found = by_hash(((key, (key, place)) for place, key in enumerate(keys)), SHARES)
    assert sorted(place for part in found.values() for _, place in part) == list(range(len(keys)))
    assert sum(len({key for key, _ in part}) for part in found.values()) == len(set(keys))


def test_a_larger_training_share_keeps_what_was_training() -> None:
    """One number a key: shares move the borders, they do not shuffle."""
    small, large = (
        set(by_hash(((key, key) for key in KEYS), (share, 0.1, 0.9 - share))["train"]) for share in (0.3, 0.6)
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
    keys = KEYS[:num_keys]
    found = deal(keys * 2, shares)
    assert [list(found.values()).count(index) for index in range(len(shares))] == sizes
    assert deal(keys[::-1], shares) == found
    order = sorted(keys, key=number_of)
    assert [found[key] for key in order] == sorted(found.values())
    assert order != keys or num_keys < 4


def test_validation_out_of_training() -> None:
    test = ["kept"]
    found = with_validation({"train": list(range(COUNT)), "test": test}, KEYS, (0.3, 0.2, 0.5))
    assert sorted(found["train"] + found["valid"]) == list(range(COUNT))
    assert near(len(found["valid"]), 0.4)
    assert found["test"] is test
    doubled = with_validation({"train": list(range(2 * COUNT))}, KEYS * 2, SHARES)
    assert {number % COUNT for number in doubled["train"]}.isdisjoint(number % COUNT for number in doubled["valid"])


def test_validation_that_is_there_stays() -> None:
    splits = {"train": [1, 2, 3], "valid": [4]}
    assert with_validation(splits, ["a", "b", "c"], SHARES) == splits


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
    found = files_by_split(tmp_path)
    assert {split: {str(file.relative_to(tmp_path)) for file in files} for split, files in found.items()} == {
        split: set(files) for split, files in names.items()
    }
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: an empty folder"):
        files_by_split(tmp_path / "empty")
