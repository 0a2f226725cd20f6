"""Generated tasks, each sequence checked against the words that describe the task."""

import math

import pytest
import torch
import torch.nn.functional as F

from recurra.data.builtin.long_memory import ADDING_BASELINE, GeneratedBatches, adding, copying, copying_baseline
from recurra.errors import UsageError


def tasks(seed: int = 3, part: int = 0) -> list[GeneratedBatches]:
    return [adding(9, 7, 5, seed, part), copying(4, 7, 5, seed, part)]


@pytest.mark.parametrize("length", [2, 7, 600])
def test_adding_by_hand(length: int) -> None:
    inputs, targets = adding(length, 300, 2, seed=1)[1]
    assert inputs.shape == (length, 300, 2)
    assert inputs.dtype == targets.dtype == torch.float32
    assert 0 <= inputs[..., 0].min() <= inputs[..., 0].max() < 1
    places = []
    for sequence, target in zip(inputs.unbind(1), targets.tolist(), strict=True):
        marked = [step for step, (_, mark) in enumerate(sequence.tolist()) if mark]
        first, second = marked  # two and no more
        assert first < length // 2 <= second
        assert sequence[marked, 1].tolist() == [1, 1]
        assert target == pytest.approx(sequence[first, 0].item() + sequence[second, 0].item(), abs=1e-7)
        places += marked
    if length == 7:
        assert set(places) == set(range(7)), "a step is never marked"


def test_adding_baseline() -> None:
    """Of 40,000 squared errors the mean has a standard deviation of 0.001."""
    inputs, targets = adding(10, 40_000, 1, seed=2)[0]
    assert (targets - 1).square().mean().item() == pytest.approx(ADDING_BASELINE, abs=0.004)
    # The place of the marks says nothing about the values.
    steps = torch.arange(10.0)[:, None]
    place = (inputs[..., 1] * steps).sum(0)
    assert abs(torch.corrcoef(torch.stack([place, targets]))[0, 1]) < 0.02  # four standard deviations


@pytest.mark.parametrize("delay", [1, 2, 30])
def test_copying_by_hand(delay: int) -> None:
    inputs, targets = copying(delay, 300, 2, seed=1)[1]
    assert inputs.dtype == targets.dtype == torch.int64
    for sequence, answer in zip(inputs.T.tolist(), targets.T.tolist(), strict=True):
        symbols = sequence[:10]
        assert set(symbols) <= set(range(8))
        assert sequence == symbols + [8] * (delay - 1) + [9] + [8] * 10
        assert answer == [8] * (10 + delay) + symbols
        assert answer[10 + delay] == sequence[0]  # `delay` steps after the last symbol
    counts = torch.bincount(inputs[:10].flatten(), minlength=8)
    assert (counts - 375).abs().max() < 80  # four standard deviations of 3,000 / 8
    assert (inputs[0] != inputs[1]).any()


@pytest.mark.parametrize("delay", [1, 100])
def test_copying_baseline_is_the_loss_of_a_model_without_memory(delay: int) -> None:
    _, targets = copying(delay, 50, 1, seed=1)[0]
    logits = torch.full((*targets.shape, 10), -math.inf, dtype=torch.double)
    logits[: 10 + delay, :, 8] = 0  # certain of the blank
    logits[10 + delay :, :, :8] = 0  # no idea which symbol
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    assert copying_baseline(delay) == pytest.approx(loss.item(), rel=1e-12)


@pytest.mark.parametrize("task", [0, 1])
def test_a_batch_can_be_had_alone(task: int) -> None:
    batches = tasks()[task]
    drawn = list(batches)
    assert len(drawn) == len(batches) == 5
    alone = tasks()[task][3]
    assert torch.equal(alone.inputs, drawn[3].inputs)
    assert torch.equal(alone.targets, drawn[3].targets)
    assert torch.equal(batches[3].inputs, drawn[3].inputs)


@pytest.mark.parametrize("task", [0, 1])
def test_no_two_batches_are_the_same(task: int) -> None:
    """Of any number, part and seed; (1, 0) and (0, 1), or a 0 at the end, are no exceptions."""
    batches = [batch.inputs for seed in range(3) for part in range(3) for batch in tasks(seed, part)[task]]
    assert not any(torch.equal(one, other) for place, one in enumerate(batches) for other in batches[:place])


def test_too_short() -> None:
    with pytest.raises(UsageError, match="adding length: expected at least 2 steps, got 1"):
        adding(1, 2, 3, 4)
    with pytest.raises(UsageError, match="copying delay: expected at least 1 step, got 0"):
        copying(0, 2, 3, 4)
