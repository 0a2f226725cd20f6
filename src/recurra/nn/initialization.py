"""Initial weights that help a layer remember: recurrent matrices that keep lengths, and gates that keep the state.

Each function works in place on all layers and directions. It changes the weights it names and no others, so that
several can follow each other, and draws from torch's global generator.
"""

from collections.abc import Iterator
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from recurra.errors import UsageError
from recurra.nn.recurrent import Recurrent
from recurra.ops.cells import CELLS, Cell, KeepingGate, Weights

Scheme: TypeAlias = Literal["default", "orthogonal", "identity", "chrono"]

INPUT_DEVIATION = 0.001  # of the input weights beside an identity


def initialize(
    layer: Recurrent, scheme: Scheme = "default", *, forget_bias: float | None = None, longest: int | None = None
) -> None:
    """Initialize a layer that was just built by the name of a scheme.

    Args:
        layer: a recurrent layer.
        scheme: "default" changes nothing; else `orthogonal_`, `identity_` or `chrono_`.
        forget_bias: value for `forget_bias_`, after the scheme; None leaves those biases alone.
        longest: steps for `chrono_`; the other schemes ignore it.

    Raises:
        UsageError: no such scheme, one that does not fit the layer, or a value that is missing or contradicts it.
    """
    if scheme not in get_args(Scheme):
        raise UsageError(f"initialization: expected one of {', '.join(get_args(Scheme))}, got {scheme!r}")
    if scheme == "chrono" and forget_bias is not None:
        raise UsageError("forget_bias: chrono draws this bias itself; leave one of the two out")
    if scheme == "orthogonal":
        orthogonal_(layer)
    elif scheme == "identity":
        identity_(layer)
    elif scheme == "chrono":
        if longest is None:
            raise UsageError("initialization: chrono needs longest, the most steps the layer should remember")
        chrono_(layer, longest)
    if forget_bias is not None:
        forget_bias_(layer, forget_bias)


@torch.no_grad()
def orthogonal_(layer: Recurrent, gain: float = 1.0) -> None:
    """Make the recurrent matrix of every gate a random orthogonal one: it changes the length of no state.

    With a projection a gate's matrix is (hidden, projection), and its columns are orthonormal.

    Args:
        layer: a recurrent layer.
        gain: what every matrix is multiplied by.

    Source: Saxe, McClelland, Ganguli 2014.
    """
    for weights in weights_of_layers(layer):
        for matrix in weights["weight_hh"].chunk(len(layer.cell.gates)):  # (hidden, hidden), or (hidden, projection)
            nn.init.orthogonal_(matrix, gain)


@torch.no_grad()
def identity_(layer: Recurrent, scale: float = 1.0) -> None:
    """Let a plain recurrent layer copy its state: W_hh = scale * I, biases 0, input weights normal and small.

    Meant for nonlinearity="relu", where the copy is exact.

    Args:
        layer: an RNN.
        scale: what is left of a state after one step; below 1 for tasks of short memory.

    Raises:
        UsageError: a layer with a gate that keeps the state.

    Source: Le, Jaitly, Hinton 2015.
    """
    if layer.cell.keeping is not None:
        hint = "the gates of others remember by forget_bias or chrono"
        raise UsageError(
            f"identity: expected an {' or '.join(families(keeping=False))}, got {layer.cell.family}; {hint}"
        )
    for weights in weights_of_layers(layer):
        nn.init.eye_(weights["weight_hh"]).mul_(scale)
        nn.init.normal_(weights["weight_ih"], std=INPUT_DEVIATION)
        for name, bias in weights.items():
            if name.startswith("bias"):
                nn.init.zeros_(bias)


@torch.no_grad()
def forget_bias_(layer: Recurrent, value: float = 1.0) -> None:
    """Set the bias of the gate that keeps the state: f of an LSTM; z of a GRU, where h' = (1-z)*n + z*h.

    Args:
        layer: one whose cell has such a gate, with biases.
        value: the total of b_ih and b_hh; above 0 the state is kept for longer. A gate that keeps the state where it is
            closed gets the opposite.

    Raises:
        UsageError: a layer without that gate or without biases.

    Source: Gers et al. 2000; Jozefowicz et al. 2015.
    """
    keeping = keeping_gate(layer, "forget_bias")
    for weights in weights_of_layers(layer):
        set_bias(weights, layer.cell, keeping.name, keeping.sign * value)


@torch.no_grad()
def chrono_(layer: Recurrent, longest: int) -> None:
    """Let the units begin with memories of all lengths, up to the longest dependency there is to learn.

    A unit that keeps a share f of its state remembers 1/(1-f) steps. The bias of f (z of a GRU) is log(u) with u drawn
    uniformly from 1..longest-1, which makes that 1+u steps where input and state are 0; the input gate of an LSTM gets
    the opposite bias, hence i = 1-f there, as a GRU has it everywhere.

    Args:
        layer: one whose cell has a gate that keeps the state, with biases.
        longest: steps, at least 2.

    Raises:
        UsageError: a layer without such gates or without biases, or `longest` below 2.

    Source: Tallec & Ollivier 2018.
    """
    keeping = keeping_gate(layer, "chrono")
    if longest < 2:
        raise UsageError(f"chrono longest: expected at least 2 steps, got {longest}")
    for weights in weights_of_layers(layer):
        weight = weights["weight_ih"]
        hidden = len(weight) // len(layer.cell.gates)
        bias = keeping.sign * weight.new_empty(hidden).uniform_(1, longest - 1).log()
        set_bias(weights, layer.cell, keeping.name, bias)
        if keeping.opposite:
            set_bias(weights, layer.cell, keeping.opposite, -bias)


def weights_of_layers(layer: Recurrent) -> Iterator[Weights]:
    """Weights of every layer and direction."""
    for number in range(layer.num_layers):
        for direction in ("", "_reverse")[: 1 + layer.bidirectional]:
            yield layer.weights_of(f"_l{number}{direction}")


def families(keeping: bool) -> list[str]:
    """Names of the layers with, or without, a gate that keeps the state."""
    return list(dict.fromkeys(cell.family for cell in CELLS.values() if bool(cell.keeping) == keeping))


def keeping_gate(layer: Recurrent, caller: str) -> KeepingGate:
    """The gate of a layer that keeps the state.

    Raises:
        UsageError: the layer has none, or it has no biases.
    """
    keeping, family = layer.cell.keeping, layer.cell.family
    if keeping is None:
        known = " or ".join(families(keeping=True))
        raise UsageError(f"{caller}: expected an {known}, got {family}, which has no gate that keeps the state")
    if not layer.bias:
        raise UsageError(f"{caller}: the {family} has no biases; build it with bias=True")
    return keeping


def set_bias(weights: Weights, cell: Cell, gate: str, total: float | Tensor) -> None:
    """Make b_ih + b_hh of one gate this number or these (hidden,)."""
    number, count = cell.gates.index(gate), len(cell.gates)
    weights["bias_ih"].chunk(count)[number][:] = total
    weights["bias_hh"].chunk(count)[number][:] = 0
