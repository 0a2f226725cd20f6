"""Padding never matters: a sequence gives what it gives alone, and nothing comes back into the padding."""

import pytest
import torch
from op_table import CASES, Case, loss, sequence
from torch import Tensor

pytestmark = pytest.mark.usefixtures("each_backend")

LENGTHS = torch.tensor([3, 6, 0, 1, 6, 2])
TIME, BATCH = 6, len(LENGTHS)


def gradients(case: Case, x: Tensor, lengths: Tensor | None, reverse: bool) -> tuple[tuple[Tensor, ...], ...]:
    """Results, and the gradient of everything: x, state, weights."""
    state = case.state(batch=x.shape[1])
    weights = case.weights()
    output, final = case.call(x, state, weights, lengths=lengths, reverse=reverse)
    leaves = [x, *state, *weights.values()]
    return (output, *final), torch.autograd.grad(loss(output, final), leaves)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_each_sequence_as_if_alone(name: str, reverse: bool) -> None:
    case = CASES[name]
    x, state, weights = sequence(TIME, BATCH), case.state(batch=BATCH), case.weights()
    output, final = case.call(x, state, weights, lengths=LENGTHS, reverse=reverse)
    for row, length in enumerate(LENGTHS.tolist()):
        alone_state = tuple(part[row : row + 1] for part in state)
        alone, alone_final = case.call(x[:length, row : row + 1], alone_state, weights, reverse=reverse)
        torch.testing.assert_close(output[:length, row : row + 1], alone, rtol=0, atol=1e-14)
        assert torch.equal(output[length:, row], torch.zeros_like(output[length:, row]))
        for ours, theirs in zip(final, alone_final, strict=True):
            torch.testing.assert_close(ours[row : row + 1], theirs, rtol=0, atol=1e-14)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e300])
def test_garbage_in_the_padding_changes_nothing(name: str, reverse: bool, garbage: float) -> None:
    case = CASES[name]
    clean = sequence(TIME, BATCH)
    valid = torch.arange(TIME).view(-1, 1, 1) < LENGTHS.view(1, -1, 1)
    dirty = torch.where(valid, clean, garbage).detach().requires_grad_()
    results, slopes = gradients(case, clean, LENGTHS, reverse)
    dirty_results, dirty_slopes = gradients(case, dirty, LENGTHS, reverse)
    for ours, theirs in zip((*results, *slopes), (*dirty_results, *dirty_slopes), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(dirty_slopes[0], torch.where(valid, dirty_slopes[0], 0.0))
    assert dirty_slopes[0][:, LENGTHS == TIME].abs().min() > 0 or name == "rnn_relu"


@pytest.mark.parametrize("name", CASES)
def test_full_lengths_are_no_lengths(name: str) -> None:
    case = CASES[name]
    x = sequence(TIME, BATCH)
    full = torch.full((BATCH,), TIME)
    for ours, theirs in zip(gradients(case, x, full, False), gradients(case, x, None, False), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("name", CASES)
def test_all_sequences_empty(name: str) -> None:
    case = CASES[name]
    state = case.state()
    output, final = case.call(sequence(), state, case.weights(), lengths=torch.tensor([0, 0]))
    assert torch.equal(output, torch.zeros_like(output))
    for before, after in zip(state, final, strict=True):
        assert torch.equal(before, after)
