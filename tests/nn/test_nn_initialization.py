"""Initial weights, judged by what the layer then does with a state."""

import math
from typing import Any

import pytest
import torch
from layer_table import DOUBLE, VARIANTS, build, draw
from torch import Tensor, nn

from recurra.errors import UsageError
from recurra.nn import GRU, LSTM, RNN
from recurra.nn.initialization import chrono_, forget_bias_, identity_, initialize, orthogonal_
from recurra.ops.cells import CELLS

WIDTHS = (6, 7)
STACK: dict[str, Any] = {"hidden_size": WIDTHS, "bidirectional": True}
GATED = ["lstm_projected", *(name for name, cell in CELLS.items() if cell.keeping)]
SUFFIXES = ("_l0", "_l0_reverse", "_l1", "_l1_reverse")


def kept(layer: nn.Module) -> list[Tensor]:
    """What share of its memory every unit keeps over a step without input, (width,) for each layer and direction.

    Without input and recurrent weights the new memory is linear in the old: the share is its slope. Memory is c of an
    LSTM, h of a GRU.
    """
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            if name.startswith("weight"):
                weight.zero_()
    x = draw(1, 1, layer.input_size, seed=1)
    ends = []
    for memory in (0.0, 1.0):
        state = [
            tuple(
                torch.full((2, 1, width), memory if part == layer.cell.parts[-1] else 0.3, dtype=DOUBLE)
                for width in widths
            )
            for part, widths in layer.layout.widths.items()
        ]
        _, end = layer(x, tuple(state) if len(state) > 1 else state[0])
        ends.append(torch.cat([part.flatten() for part in (end[-1] if len(state) > 1 else end)]).detach())
    return list((ends[1] - ends[0]).split([width for width in WIDTHS for _ in range(2)]))


def changed(layer: nn.Module, before: dict[str, Tensor]) -> set[str]:
    """Names of the parameters of which any element is another."""
    return {name for name, weight in layer.state_dict().items() if not torch.equal(weight, before[name])}


def copies(layer: nn.Module) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in layer.state_dict().items()}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("gain", [1.0, 0.7])
def test_orthogonal_gate_by_gate(name: str, gain: float) -> None:
    layer = build(name, **STACK)
    before = copies(layer)
    orthogonal_(layer, gain)
    assert changed(layer, before) == {f"weight_hh{suffix}" for suffix in SUFFIXES}
    matrices = []
    for suffix, width in zip(SUFFIXES, (6, 6, 7, 7), strict=True):
        weight = getattr(layer, f"weight_hh{suffix}").detach()
        assert len(weight) == len(layer.cell.gates) * width
        matrices += weight.split(width)  # each (width, width), or (width, projection)
    for index, matrix in enumerate(matrices):
        identity = torch.eye(matrix.shape[1], dtype=DOUBLE)
        torch.testing.assert_close(matrix.T @ matrix, gain**2 * identity, rtol=0, atol=1e-12)
        assert not any(torch.equal(matrix, other) for other in matrices[:index]), "two gates begin the same"


def test_identity_copies_the_state() -> None:
    layer = build("rnn_relu", **STACK)
    before = copies(layer)
    identity_(layer, 0.5)
    assert changed(layer, before) == before.keys()
    h = tuple(draw(2, 3, width, seed=width).detach().abs() for width in WIDTHS)
    with torch.no_grad():
        for suffix in SUFFIXES[2:]:
            getattr(layer, f"weight_ih{suffix}").zero_()  # the layer above sees the states of the one below
        _, end = layer(torch.zeros(4, 3, layer.input_size, dtype=DOUBLE), h)
    torch.testing.assert_close(end, tuple(part * 0.5**4 for part in h), rtol=0, atol=1e-15)


def test_identity_draws_small_input_weights() -> None:
    layer = RNN(90, 80, bias=False)
    torch.manual_seed(3)
    identity_(layer)
    weights = layer.weight_ih_l0.detach() / 0.001
    # Of 7,200 normal numbers the mean is within 0.06, the deviation within 0.04 (five of their own deviations).
    assert abs(weights.mean()) < 0.06
    assert abs(weights.std() - 1) < 0.04
    assert (weights.abs() > 2).float().mean() == pytest.approx(0.0455, abs=0.013)  # normal, not uniform
    assert torch.equal(layer.weight_hh_l0, torch.eye(80))


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("value", [1.0, -0.3])
def test_forget_bias_is_what_is_kept(name: str, value: float) -> None:
    layer = build(name, **STACK)
    before = copies(layer)
    forget_bias_(layer, value)
    assert changed(layer, before) == {f"bias_{side}{suffix}" for side in ("ih", "hh") for suffix in SUFFIXES}
    same = sum(int((weight == before[name]).sum()) for name, weight in layer.state_dict().items())
    total = sum(weight.numel() for weight in before.values())
    assert total - same == 2 * 2 * sum(WIDTHS), "more than one gate changed"
    share = 1 / (1 + math.exp(-value))
    for found in kept(layer):
        torch.testing.assert_close(found, torch.full_like(found, share), rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", GATED)
def test_chrono_remembers_from_two_steps_to_the_longest(name: str) -> None:
    layer = build(name, **STACK)
    biases = copies(layer)
    chrono_(layer, 40)
    assert changed(layer, biases) == {f"bias_{side}{suffix}" for side in ("ih", "hh") for suffix in SUFFIXES}
    steps = torch.cat([1 / (1 - share) for share in kept(layer)])
    assert steps.min() >= 2
    assert steps.max() <= 40
    assert len(steps.unique()) == len(steps), "units share a draw"


@pytest.mark.parametrize("layer", [LSTM(1, 4000, proj_size=1), GRU(1, 300, 7, bidirectional=True)], ids=["LSTM", "GRU"])
def test_chrono_draws_evenly(layer: nn.Module) -> None:
    torch.manual_seed(4)
    chrono_(layer, 600)
    biases = [bias for name, bias in layer.state_dict().items() if name.startswith("bias_ih")]
    keeping = torch.cat([bias.chunk(len(layer.cell.gates))[1] for bias in biases]).double()
    steps = (1 + keeping.exp()).sort().values
    even = torch.linspace(2, 600, len(steps), dtype=DOUBLE)
    # The largest gap between the two distributions: beyond 2/sqrt(n) in one of 1,500 draws (Kolmogorov).
    assert (steps - even).abs().max() < 598 * 2 / math.sqrt(len(steps))


def test_chrono_of_an_lstm_writes_what_it_forgets() -> None:
    layer = build("lstm", **STACK)
    chrono_(layer, 40)
    for suffix in SUFFIXES:
        total = getattr(layer, f"bias_ih{suffix}") + getattr(layer, f"bias_hh{suffix}")
        i, f, _, _ = torch.sigmoid(total.detach()).chunk(4)
        torch.testing.assert_close(i, 1 - f, rtol=0, atol=1e-15)


def test_chrono_of_two_steps_has_nothing_to_draw() -> None:
    layer = build("gru", **STACK)
    chrono_(layer, 2)
    for share in kept(layer):
        torch.testing.assert_close(share, torch.full_like(share, 0.5), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "options", "function", "arguments"),
    [
        ("lstm", {"scheme": "orthogonal"}, orthogonal_, ()),
        ("rnn_relu", {"scheme": "identity"}, identity_, ()),
        ("gru", {"scheme": "chrono", "longest": 9}, chrono_, (9,)),
        ("lstm", {"forget_bias": 1.5}, forget_bias_, (1.5,)),
    ],
)
def test_schemes_by_name(name: str, options: dict[str, Any], function: Any, arguments: tuple[Any, ...]) -> None:
    named, direct = build(name), build(name)
    torch.manual_seed(5)
    initialize(named, **options)
    torch.manual_seed(5)
    function(direct, *arguments)
    assert not changed(named, direct.state_dict())


def test_the_default_changes_nothing_and_draws_nothing() -> None:
    layer = build("lstm")
    before, generator = copies(layer), torch.get_rng_state()
    initialize(layer, longest=9)
    assert not changed(layer, before)
    assert torch.equal(torch.get_rng_state(), generator)


def test_a_scheme_and_a_forget_bias() -> None:
    layer = build("gru", **STACK)
    initialize(layer, "orthogonal", forget_bias=2.0)
    matrix = layer.weight_hh_l1.detach()[:7].clone()
    torch.testing.assert_close(matrix.T @ matrix, torch.eye(7, dtype=DOUBLE), rtol=0, atol=1e-12)
    torch.testing.assert_close(kept(layer)[3], torch.full((7,), 1 / (1 + math.exp(-2)), dtype=DOUBLE))


def test_parameters_stay_parameters() -> None:
    layer = build("lstm", **STACK)
    orthogonal_(layer)
    chrono_(layer, 5)
    assert all(weight.is_leaf and weight.requires_grad for weight in layer.parameters())


@pytest.mark.parametrize(
    ("function", "layer", "arguments", "message"),
    [
        (identity_, LSTM(3, 4), (), "identity: expected an RNN, got LSTM"),
        (identity_, GRU(3, 4), (), "identity: expected an RNN, got GRU"),
        (forget_bias_, RNN(3, 4), (), r"forget_bias: expected an LSTM or GRU.*, got RNN, which has no gate that keeps"),
        (chrono_, RNN(3, 4), (9,), r"chrono: expected an LSTM or GRU.*, got RNN"),
        (forget_bias_, GRU(3, 4, bias=False), (), "forget_bias: the GRU has no biases; build it with bias=True"),
        (chrono_, LSTM(3, 4), (1,), "chrono longest: expected at least 2 steps, got 1"),
        (initialize, LSTM(3, 4), ("glorot",), "expected one of default, orthogonal, identity, chrono, got 'glorot'"),
        (initialize, LSTM(3, 4), ("chrono",), "chrono needs longest"),
    ],
)
def test_what_does_not_fit(function: Any, layer: nn.Module, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        function(layer, *arguments)


def test_two_answers_for_one_bias() -> None:
    with pytest.raises(UsageError, match="forget_bias: chrono draws this bias itself"):
        initialize(LSTM(3, 4), "chrono", forget_bias=1.0, longest=9)
