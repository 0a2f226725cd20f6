"""What torch.nn has not: widths, merging, initial states; each against layers chained by hand."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from layer_table import BATCH, DOUBLE, INPUT, OURS, THEIRS, TIME, VARIANTS, build, draw, first_state, gradients, tensors
from torch import Tensor, nn

from recurra import reference
from recurra.nn import GRU, LSTM, RNN
from recurra.ops.cells import CELLS

WIDTHS = (7, 2, 6)


def copy_layer(stack: nn.Module, layer: int, single: nn.Module) -> nn.Module:
    """Give a single layer the weights of one layer of a stack."""
    names = {name: name.replace("_l0", f"_l{layer}") for name in single.state_dict()}
    single.load_state_dict({mine: stack.state_dict()[theirs] for mine, theirs in names.items()})
    return single


def chain(stack: nn.Module, cell: str, inputs: list[int], **options: Any) -> list[nn.Module]:
    """torch.nn layers with the weights of a stack, one a layer."""
    both = {"bidirectional": stack.bidirectional, "dtype": DOUBLE}
    singles = [THEIRS[cell](i, width, **both, **options) for i, width in zip(inputs, stack.widths, strict=True)]
    return [copy_layer(stack, layer, single) for layer, single in enumerate(singles)]


def random_state(stack: nn.Module, seed: int = 30) -> tuple[Tensor, ...]:
    directions = 1 + stack.bidirectional
    return tuple(draw(directions, BATCH, width, seed=seed + k) for k, width in enumerate(stack.widths))


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", OURS)
def test_widths_equal_a_chain_of_layers(cell: str, both: bool) -> None:
    stack = OURS[cell](INPUT, list(WIDTHS), bidirectional=both, dtype=DOUBLE)
    singles = chain(stack, cell, [INPUT, *(width * (1 + both) for width in WIDTHS[:-1])])
    x, h0 = draw(TIME, BATCH, INPUT, seed=1), random_state(stack)
    c0 = random_state(stack, seed=40)
    output, state = stack(x, (h0, c0) if cell == "LSTM" else h0)
    below, finals = x, []
    for layer, single in enumerate(singles):
        below, final = single(below, (h0[layer], c0[layer]) if cell == "LSTM" else h0[layer])
        finals.append(final)
    expected = tuple(zip(*finals, strict=True)) if cell == "LSTM" else tuple(finals)
    torch.testing.assert_close(output, below, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(state, expected, rtol=1e-10, atol=1e-10)
    leaves = [x, *h0, *(c0 if cell == "LSTM" else ()), *stack.parameters()]
    their_leaves = [*leaves[: -len(list(stack.parameters()))], *(p for single in singles for p in single.parameters())]
    slopes = gradients(tensors(output, state), leaves)
    their_slopes = gradients(tensors(below, expected), their_leaves)
    torch.testing.assert_close(slopes, their_slopes, rtol=1e-10, atol=1e-10)


def test_widths_without_batch() -> None:
    stack = LSTM(INPUT, WIDTHS, dtype=DOUBLE)
    x = draw(TIME, BATCH, INPUT, seed=1)
    h0, c0 = random_state(stack), random_state(stack, seed=40)
    output, state = stack(x, (h0, c0))
    alone, alone_state = stack(x[:, 1], (tuple(h[:, 1] for h in h0), tuple(c[:, 1] for c in c0)))
    torch.testing.assert_close(alone, output[:, 1], rtol=0, atol=1e-13)
    torch.testing.assert_close(alone_state, tuple(tuple(t[:, 1] for t in part) for part in state), rtol=0, atol=1e-13)


def test_widths_with_projection() -> None:
    stack = LSTM(INPUT, (7, 6), proj_size=2, dtype=DOUBLE)
    singles = chain(stack, "LSTM", [INPUT, 2], proj_size=2)
    x = draw(TIME, BATCH, INPUT, seed=1)
    output, (h_n, c_n) = stack(x)
    below, (h_0, c_0) = singles[0](x)
    above, (h_1, c_1) = singles[1](below)
    torch.testing.assert_close((output, h_n, c_n), (above, (h_0, h_1), (c_0, c_1)), rtol=1e-10, atol=1e-10)


def test_layers_of_one_width_start_in_the_same_range() -> None:
    torch.manual_seed(0)
    stack = GRU(64, (100, 25))
    for layer, width in enumerate((100, 25)):
        largest = getattr(stack, f"weight_hh_l{layer}").abs().max().item()
        assert 0.98 * width**-0.5 < largest <= width**-0.5


MERGED = {
    "concat": lambda forward, backward: torch.cat([forward, backward], 2),
    "sum": lambda forward, backward: forward + backward,
    "average": lambda forward, backward: (forward + backward) / 2,
    "multiply": lambda forward, backward: forward * backward,
    "none": lambda forward, backward: torch.cat([forward, backward], 2),
}


@pytest.mark.parametrize("merge", MERGED)
@pytest.mark.parametrize("cell", OURS)
def test_merge_at_every_layer(cell: str, merge: str) -> None:
    stack = OURS[cell](INPUT, WIDTHS, bidirectional=True, merge=merge, dtype=DOUBLE)
    wide = 2 if merge in ("concat", "none") else 1
    singles = chain(stack, cell, [INPUT, *(width * wide for width in WIDTHS[:-1])])
    x = draw(TIME, BATCH, INPUT, seed=1)
    below = x
    for single in singles:
        directions = single(below)[0].chunk(2, dim=2)
        below = MERGED[merge](*directions)
    output, _ = stack(x)
    if merge == "none":
        torch.testing.assert_close(output, tuple(directions), rtol=1e-10, atol=1e-10)
    else:
        torch.testing.assert_close(output, below, rtol=1e-10, atol=1e-10)


def test_directions_apart_keep_the_form_of_the_input() -> None:
    layer = GRU(INPUT, 6, bidirectional=True, merge="none", dtype=DOUBLE)
    x = draw(TIME, BATCH, INPUT, seed=1)
    forward, backward = layer(x)[0]
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([TIME] * BATCH))
    for ours, whole in zip(layer(packed)[0], (forward, backward), strict=True):
        torch.testing.assert_close(nn.utils.rnn.pad_packed_sequence(ours)[0], whole, rtol=0, atol=1e-13)
    for ours, whole in zip(layer(x[:, 2])[0], (forward, backward), strict=True):
        torch.testing.assert_close(ours, whole[:, 2], rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", CELLS)
def test_stack_of_two_directions_equals_the_equations(name: str) -> None:
    """Both directions and layers of the reference in NumPy; torch has no twin of some cells."""
    layer, forward = build(name, num_layers=2, bidirectional=True), CELLS[name].reference.forward
    x, hx = draw(TIME, BATCH, INPUT, seed=1), first_state(layer)
    parts = [part.detach().numpy() for part in tensors(hx)]
    states = [tuple(part[place] for part in parts) for place in range(4)]
    states = [state if len(state) > 1 else state[0] for state in states]
    weights = [[weight.detach().numpy() for weight in group] for group in layer.all_weights]
    both = partial(reference.bidirectional_forward, forward)
    pairs = [(states[0:2], states[2:4]), (weights[0:2], weights[2:4])]
    expected, finals, _ = reference.stacked_forward(both, x.detach().numpy(), *(pairs[0],), *pairs[1])
    output, state = layer(x, hx)
    np.testing.assert_allclose(output.detach().numpy(), expected, rtol=1e-10, atol=1e-10)
    flat = [final if isinstance(final, tuple) else (final,) for directions in finals for final in directions]
    for ours, theirs in zip(tensors(state), zip(*flat, strict=True), strict=True):
        np.testing.assert_allclose(ours.detach().numpy(), np.stack(theirs), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", VARIANTS)
def test_two_windows_with_carried_state_equal_one(name: str) -> None:
    layer = build(name, num_layers=2)
    x = draw(TIME, BATCH, INPUT, seed=1)
    output, state = layer(x)
    first, carried = layer(x[:2])
    second, final = layer(x[2:], carried)
    torch.testing.assert_close((torch.cat([first, second]), final), (output, state), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", VARIANTS)
def test_nothing_is_kept_between_calls(name: str) -> None:
    layer = build(name, num_layers=2)
    before = set(vars(layer)), {key: value.clone() for key, value in layer.state_dict().items()}
    x = draw(TIME, BATCH, INPUT, seed=1)
    first = layer(x)
    torch.testing.assert_close(layer(x), first, rtol=0, atol=0)
    assert set(vars(layer)) == before[0]
    torch.testing.assert_close(dict(layer.state_dict()), before[1], rtol=0, atol=0)


def test_learned_state_is_broadcast_and_learns() -> None:
    layer = LSTM(INPUT, (7, 2), bidirectional=True, initial_state="learned", dtype=DOUBLE)
    learned = [name for name, _ in layer.named_parameters() if name[:2] in ("h0", "c0")]
    assert len(learned) == 8
    assert not any(getattr(layer, name).any() for name in learned)
    with torch.no_grad():
        for index, name in enumerate(learned):
            getattr(layer, name).copy_(draw(*getattr(layer, name).shape, seed=50 + index))
    hx = tuple(
        tuple(
            torch.stack([getattr(layer, f"{part}0_l{k}"), getattr(layer, f"{part}0_l{k}_reverse")])
            .unsqueeze(1)
            .expand(-1, BATCH, -1)
            for k in range(2)
        )
        for part in "hc"
    )
    x = draw(TIME, BATCH, INPUT, seed=1)
    parameters = [getattr(layer, name) for name in learned]
    output, explicit = layer(x)[0], layer(x, hx)[0]
    torch.testing.assert_close(output, explicit, rtol=0, atol=1e-14)
    slopes, explicit_slopes = gradients([output], parameters), gradients([explicit], parameters)
    torch.testing.assert_close(slopes, explicit_slopes, rtol=0, atol=1e-12)
    assert all(slope.abs().max() > 1e-8 for slope in slopes)


def test_learned_state_leaves_the_draw_of_the_weights_alone() -> None:
    torch.manual_seed(0)
    plain = RNN(INPUT, 6, 2).state_dict()
    torch.manual_seed(0)
    learned = RNN(INPUT, 6, 2, initial_state="learned").state_dict()
    assert all(torch.equal(learned[name], weight) for name, weight in plain.items())


def test_random_state_has_its_deviation_and_is_zero_in_evaluation() -> None:
    layer = LSTM(INPUT, 500, initial_state="random", dtype=DOUBLE)
    nothing = torch.zeros(TIME, 40, INPUT, dtype=DOUBLE)
    torch.manual_seed(0)
    _, (h_n, c_n) = layer(nothing, lengths=torch.zeros(40, dtype=torch.int64))
    for part in (h_n, c_n):
        assert part.std().item() == pytest.approx(0.1, rel=0.02)  # 20,000 draws: a standard error of 0.5 %
        assert part.mean().item() == pytest.approx(0.0, abs=0.003)
    assert not torch.equal(h_n, c_n)
    layer.eval()
    x = draw(TIME, BATCH, INPUT, seed=1)
    zero = torch.zeros(1, BATCH, 500, dtype=DOUBLE)
    torch.testing.assert_close(layer(x), layer(x, (zero, zero)), rtol=0, atol=0)
