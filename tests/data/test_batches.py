"""Batches of about one length: each sequence once an epoch, in an order that only seed and epoch decide."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.batches import POOL, bucket_by_length, longest_first

LENGTHS = np.random.default_rng(4).geometric(0.03, 7011).tolist()  # 33 on average, and a few of hundreds


def batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    return [batch.tolist() for batch in bucket_by_length(lengths, batch_size, seed, epoch)]


def padding(found: Iterable[Sequence[int]], lengths: Sequence[int]) -> float:
    """Share of the steps of padded batches that are padding."""
    of_batches = [[lengths[index] for index in batch] for batch in found]
    return 1 - sum(map(sum, of_batches)) / sum(len(batch) * max(batch) for batch in of_batches)


@given(
    lengths=st.lists(st.integers(0, 30), max_size=230),
    batch_size=st.integers(1, 4),
    seed=st.integers(0, 9),
    epoch=st.integers(0, 9),
)
def test_every_sequence_once_an_epoch(lengths: list[int], batch_size: int, seed: int, epoch: int) -> None:
    found = batches(lengths, batch_size, seed, epoch)
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    assert len(found) == -(-len(lengths) // batch_size)
    assert sum(len(batch) < batch_size for batch in found) <= 1
    assert found == batches(lengths, batch_size, seed, epoch)


def test_seed_and_epoch_make_the_order() -> None:
    orders = {(seed, epoch): batches(LENGTHS, 32, seed, epoch) for seed in (0, 1, 7) for epoch in (0, 1, 7)}
    members = {key: {frozenset(batch) for batch in found} for key, found in orders.items()}
    for one in orders:
        for other in orders:
            assert (orders[one] == orders[other]) == (one == other)
            assert one == other or len(members[one] & members[other]) < 3  # who is beside whom changes too


@pytest.mark.parametrize("batch_size", [8, 32])
def test_little_is_padding(batch_size: int) -> None:
    """What remains are the few long ones among whom neighbors differ by dozens of steps."""
    as_they_come = [range(start, start + batch_size) for start in range(0, 7000, batch_size)]
    assert padding(as_they_come, LENGTHS) > 0.6
    assert padding(batches(LENGTHS, batch_size, 3, 0), LENGTHS) < 0.12


def test_batches_come_in_no_order_of_length() -> None:
    longest = [max(LENGTHS[index] for index in batch) for batch in batches(LENGTHS, 32, 3, 0)]
    assert 0.4 < (np.diff(longest) > 0).mean() < 0.6
    assert len(longest) > 4 * POOL


def test_judging_takes_the_longest_first() -> None:
    found = [batch.tolist() for batch in longest_first([3, 0, 9, 3, 5, 9, 1], 3)]
    assert found == [[2, 5, 4], [0, 3, 6], [1]]
    assert longest_first([], 3) == []
    assert padding([batch.tolist() for batch in longest_first(LENGTHS, 32)], LENGTHS) < 0.05
