"""Lengths in place of packing: what a sequence gives does not depend on what it was batched with."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_table import (
    HIDDEN,
    INPUT,
    SHARED,
    VARIANTS,
    build,
    draw,
    first_state,
    gradients,
    layer_width,
    pair,
    tensors,
)
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra.nn import LSTM, both_ends, last_valid_step

TIME = 7
LENGTHS = torch.tensor([3, 7, 0, 1, 7])
BATCH = len(LENGTHS)
STACK = {"num_layers": 2, "bidirectional": True}


@pytest.mark.parametrize("name", SHARED)
def test_equals_packing(name: str) -> None:
    """Results and all gradients; torch cannot pack an empty sequence, so none here."""
    ours, theirs = pair(name, **STACK)
    lengths = torch.tensor([3, 7, 2, 1, 7])
    x, hx = draw(TIME, BATCH, INPUT, seed=1), first_state(ours, BATCH)
    output, state = ours(x, hx, lengths=lengths)
    packed, their_state = theirs(pack_padded_sequence(x, lengths, enforce_sorted=False), hx)
    results, their_results = tensors(output, state), tensors(pad_packed_sequence(packed)[0], their_state)
    torch.testing.assert_close(results, their_results, rtol=1e-10, atol=1e-10)
    leaves = [x, *tensors(hx)]
    slopes = gradients(results, [*leaves, *ours.parameters()])
    their_slopes = gradients(their_results, [*leaves, *theirs.parameters()])
    torch.testing.assert_close(slopes, their_slopes, rtol=1e-10, atol=1e-10)


def row_of(state: object, row: int) -> object:
    if isinstance(state, torch.Tensor):
        return state[:, row : row + 1]
    return tuple(row_of(part, row) for part in state)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_each_sequence_as_if_alone(name: str, batch_first: bool) -> None:
    layer = build(name, batch_first=batch_first, **STACK)
    x, hx = draw(TIME, BATCH, INPUT, seed=1), first_state(layer, BATCH)

    def run(x: torch.Tensor, hx: object, **options: object) -> tuple:
        output, state = layer(x.transpose(0, 1) if batch_first else x, hx, **options)
        return output.transpose(0, 1) if batch_first else output, state

    output, state = run(x, hx, lengths=LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone, alone_state = run(x[:length, row : row + 1], row_of(hx, row))
        torch.testing.assert_close(output[:length, row : row + 1], alone, rtol=0, atol=1e-13)
        assert torch.equal(output[length:, row], torch.zeros_like(output[length:, row]))
        torch.testing.assert_close(row_of(state, row), alone_state, rtol=0, atol=1e-13)


@pytest.mark.parametrize("merge", ["concat", "sum", "average", "multiply", "none"])
@pytest.mark.parametrize("name", VARIANTS)
def test_nan_in_the_padding_changes_nothing(name: str, merge: str) -> None:
    layer = build(name, merge=merge, **STACK)
    clean = draw(TIME, BATCH, INPUT, seed=1)
    valid = torch.arange(TIME).view(-1, 1, 1) < LENGTHS.view(1, -1, 1)
    dirty = torch.where(valid, clean, float("nan")).detach().requires_grad_()
    results = []
    for x in (clean, dirty):
        found = tensors(layer(x, lengths=LENGTHS))
        results.append([*found, *gradients(found, [x, *layer.parameters()])])
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_lengths_any_sizes(data: st.DataObject) -> None:
    size = st.integers(1, 4)
    time, inputs, hidden, layers = (data.draw(size, label=name) for name in ("time", "inputs", "hidden", "layers"))
    lengths = data.draw(st.lists(st.integers(0, time), min_size=1, max_size=4), label="lengths")
    name = data.draw(st.sampled_from([name for name in VARIANTS if name != "lstm_projected"]), label="layer")
    both = data.draw(st.booleans(), label="bidirectional")
    layer = build(name, input_size=inputs, hidden_size=hidden, num_layers=layers, bidirectional=both)
    x, hx = draw(time, len(lengths), inputs, seed=1), first_state(layer, len(lengths))
    output, state = layer(x, hx, lengths=torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone, alone_state = layer(x[:length, row : row + 1], row_of(hx, row))
        torch.testing.assert_close(output[:length, row : row + 1], alone, rtol=0, atol=1e-13)
        assert not output[length:, row].any()
        torch.testing.assert_close(row_of(state, row), alone_state, rtol=0, atol=1e-13)


def test_last_valid_step_is_the_final_state() -> None:
    layer = build("lstm")
    x = draw(TIME, BATCH, INPUT, seed=1)
    output, (h_n, _) = layer(x, lengths=LENGTHS)
    torch.testing.assert_close(last_valid_step(output, LENGTHS), h_n[0], rtol=0, atol=0)
    assert not last_valid_step(output + 1, LENGTHS)[2].any()


def test_both_ends_are_the_final_states_of_both_directions() -> None:
    lengths = torch.tensor([3, 7, 4, 1, 7])
    x = draw(TIME, BATCH, INPUT, seed=1)
    apart = build("gru", bidirectional=True, merge="none")
    beside = build("gru", bidirectional=True)
    outputs, h_n = apart(x, lengths=lengths)
    expected = torch.cat([h_n[0], h_n[1]], 1)
    torch.testing.assert_close(both_ends(*outputs, lengths), expected, rtol=0, atol=0)
    halves = beside(x, lengths=lengths)[0].chunk(2, dim=2)
    torch.testing.assert_close(both_ends(*halves, lengths), expected, rtol=0, atol=0)
    outputs, h_n = apart(x)
    torch.testing.assert_close(both_ends(*outputs), torch.cat([h_n[0], h_n[1]], 1), rtol=0, atol=0)
    assert not both_ends(outputs[0] + 1, outputs[1] + 1, LENGTHS)[2].any()


def test_no_steps_at_all() -> None:
    layer = LSTM(INPUT, HIDDEN, 2, bidirectional=True)
    output, (h_n, c_n) = layer(torch.zeros(0, BATCH, INPUT), lengths=torch.zeros(BATCH, dtype=torch.int64))
    assert output.shape == (0, BATCH, 2 * HIDDEN)
    assert not h_n.any()
    assert not c_n.any()
    assert last_valid_step(output, torch.zeros(BATCH, dtype=torch.int64)).shape == (BATCH, 2 * HIDDEN)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    layer: nn.Module = build(name, initial_state="learned", **STACK)
    output, _ = layer(draw(TIME, BATCH, INPUT, seed=1), lengths=LENGTHS)
    gradient = draw(*output.shape, seed=2).detach()
    output.backward(gradient)
    assert layer_width(layer) * 2 == output.shape[2]
    for parameter_name, parameter in layer.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().max() > 1e-8, parameter_name
