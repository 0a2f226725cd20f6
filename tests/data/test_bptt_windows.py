"""Windows of text for truncated backpropagation: each token a target once, given the one before it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recurra.data.batches import TextWindows
from recurra.lengths import IGNORE_INDEX

START = 77


def joined(found: TextWindows) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of all windows, (time, batch)."""
    windows = list(found)
    return (
        torch.cat([window.inputs for window in windows]).numpy(),
        torch.cat([window.targets for window in windows]).numpy(),
    )


def test_a_text_by_hand() -> None:
    """Seven tokens in two streams of four, windows of three: 10 11 12 13 | 14 15 16."""
    first, second = TextWindows(np.arange(10, 17, dtype=np.uint16), 2, 3, START)
    assert first.inputs.tolist() == [[START, 13], [10, 14], [11, 15]]
    assert first.targets.tolist() == [[10, 14], [11, 15], [12, 16]]
    assert second.inputs.tolist() == [[12, 16]]
    assert second.targets.tolist() == [[13, IGNORE_INDEX]]
    assert first.inputs.dtype == first.targets.dtype == torch.int64


@given(tokens=st.integers(1, 200), num_streams=st.integers(1, 20), steps=st.integers(1, 30))
def test_every_token_is_a_target_once_in_order_given_the_one_before(tokens: int, num_streams: int, steps: int) -> None:
    num_streams = min(num_streams, tokens)
    ids = np.arange(1, tokens + 1, dtype=np.uint32)  # token n stands at n, after n - 1
    windows = TextWindows(ids, num_streams, steps, START)
    inputs, targets = joined(windows)
    real = targets.T != IGNORE_INDEX  # (batch, time)
    assert targets.T[real].tolist() == ids.tolist()
    assert inputs.T[real].tolist() == [START, *ids[:-1].tolist()]
    assert (np.diff(real.astype(int), axis=1) <= 0).all(), "a stream goes on after its end"
    assert real[0].all()
    assert (inputs >= 0).all()
    assert len(windows) == len(list(windows)) == -(-len(targets) // steps)
    assert all(len(windows[index].targets) == steps for index in range(len(windows) - 1))


@pytest.mark.parametrize("dtype", ["<u2", "<u4"])
def test_ids_of_any_width_are_read_as_they_are(dtype: str) -> None:
    ids = np.array([0, 65_535, 3, 1], dtype)
    assert joined(TextWindows(ids, 1, 4, 0))[1].ravel().tolist() == [0, 65_535, 3, 1]


def test_a_window_can_be_had_alone() -> None:
    """A resumed epoch asks for window 5 without the ones before."""
    windows = TextWindows(np.arange(1000, dtype=np.uint16), 3, 7, START)
    again = TextWindows(np.arange(1000, dtype=np.uint16), 3, 7, START)
    fifth = list(windows)[5]
    assert torch.equal(again[5].inputs, fifth.inputs)
    assert torch.equal(again[5].targets, fifth.targets)
