"""The recurrent cells: one record holds everything that differs from one cell to another.

Layers, initialization, streams, recipes and tests read these records, so a new cell is a record here, its equations in
`recurra.reference`, and where it pays a kernel. Torch's names, layout and gate order hold for all weights: the gates
stand one below the other, in the order of `Cell.gates`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from recurra import reference
from recurra.errors import UsageError
from recurra.ops import fused_cells
from recurra.ops.fused_cells import FusedCell
from recurra.reference import mgu

Weights: TypeAlias = Mapping[str, Tensor]  # of one layer in one direction, by name; absent ones are left out
State: TypeAlias = tuple[Tensor, ...]  # the parts of the state, (batch, width) each
Shapes: TypeAlias = dict[str, tuple[int, ...]]
Step: TypeAlias = Callable[[Sequence[Tensor], Sequence[Tensor]], State]


class Sizes(NamedTuple):
    """Sizes of a layer."""

    input: int  # features
    hidden: int  # units
    projection: int = 0  # width of h where that is projected
    bias: bool = True


class Reference(NamedTuple):
    """The equations of a cell in NumPy, options bound."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]


class KeepingGate(NamedTuple):
    """The gate that decides how much of the state is kept."""

    name: str
    sign: int = 1  # 1: an open gate keeps the state; -1: a closed one
    opposite: str | None = None  # gate that lets new values in, where that is another one


def stacked_gates(num_gates: int, sizes: Sizes) -> Shapes:
    """Shapes of the weights of one layer in one direction, in the order in which torch draws them."""
    rows = num_gates * sizes.hidden
    shapes: Shapes = {"weight_ih": (rows, sizes.input), "weight_hh": (rows, sizes.projection or sizes.hidden)}
    if sizes.bias:
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    if sizes.projection:
        shapes["weight_hr"] = (sizes.projection, sizes.hidden)
    return shapes


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent cell with its options chosen.

    Args:
        name: its own, unique.
        family: name of its layer class; in lower case the name in recipes. Cells of one family differ in `options`.
        gates: names of the gates in the order in which their weights stand.
        steps: from x (time, batch, input) and the weights to the function that takes one step, and what drives it at
            every step, each (rows, time, batch). The step gets its column of each, (rows, batch), and the state, each
            part (hidden, batch), and returns the next state, made of torch's operators.
        reference: the equations in NumPy.
        parts: names of the parts of the state; the first is the output.
        options: the options that tell it from others of its family, as its layer class and its reference name them.
        keeping: the gate that keeps the state; None where no gate does.
        fused: its C++ kernel; None: none.
        torch_operator: torch's own operator for a whole layer; None: none.
        weight_shapes_of: from the number of gates and the sizes to the shapes of the weights.
    """

    name: str
    family: str
    gates: tuple[str, ...]
    steps: Callable[[Tensor, Weights], tuple[Step, Sequence[Tensor]]]
    reference: Reference
    parts: tuple[str, ...] = ("h",)
    options: Mapping[str, object] = field(default_factory=dict)
    keeping: KeepingGate | None = None
    fused: FusedCell | None = None
    torch_operator: Callable[..., Any] | None = None
    weight_shapes_of: Callable[[int, Sizes], Shapes] = stacked_gates

    def weight_shapes(self, sizes: Sizes) -> Shapes:
        """Names and shapes of the weights of one layer in one direction."""
        return self.weight_shapes_of(len(self.gates), sizes)

    def state_widths(self, sizes: Sizes) -> dict[str, int]:
        """Width of each part of the state; a projection narrows the first."""
        return dict.fromkeys(self.parts, sizes.hidden) | {self.parts[0]: sizes.projection or sizes.hidden}

    def __reduce__(self) -> tuple[Callable[[str], "Cell"], tuple[str]]:
        return cell_named, (self.name,)  # pickled and copied by name


def add(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    """The sum of two biases that may be absent."""
    return left if right is None else right if left is None else left + right


def input_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """W x + b of all steps at once, (rows, time, batch) from x (time, batch, input)."""
    columns = x.reshape(-1, x.shape[2]).t()  # (input, time*batch)
    product = weight.mm(columns) if bias is None else torch.addmm(bias.unsqueeze(1), weight, columns)
    return product.view(weight.shape[0], *x.shape[:2])  # (rows, time, batch)


def summed_drive(x: Tensor, weights: Weights) -> Tensor:
    """What the input and both biases bring to every gate, (gates*hidden, time, batch)."""
    return input_product(x, weights["weight_ih"], add(weights.get("bias_ih"), weights.get("bias_hh")))


def rnn_steps(activation: Callable[[Tensor], Tensor], x: Tensor, weights: Weights) -> tuple[Step, list[Tensor]]:
    """h' = f(W_ih x + b_ih + W_hh h + b_hh)."""
    weight = weights["weight_hh"]

    def step(drives: Sequence[Tensor], state: Sequence[Tensor]) -> State:
        return (activation(torch.addmm(drives[0], weight, state[0])),)

    return step, [summed_drive(x, weights)]


def lstm_steps(x: Tensor, weights: Weights) -> tuple[Step, list[Tensor]]:
    """c' = f*c + i*g, h' = o*tanh(c'), projected where there is weight_hr."""
    weight, projection = weights["weight_hh"], weights.get("weight_hr")

    def step(drives: Sequence[Tensor], state: Sequence[Tensor]) -> State:
        h, c = state
        i, f, g, o = torch.addmm(drives[0], weight, h).chunk(4)  # (hidden, batch) each
        c = torch.addcmul(f.sigmoid() * c, i.sigmoid(), g.tanh())
        h = o.sigmoid() * c.tanh()
        return h if projection is None else projection.mm(h), c

    return step, [summed_drive(x, weights)]


def gru_steps(x: Tensor, weights: Weights) -> tuple[Step, list[Tensor]]:
    """h' = (1-z)*n + z*h with n = tanh(W_in x + b_in + r*(W_hn h + b_hn)).

    The drive of r and z holds both biases; n keeps b_hn apart, since r multiplies it, so it is part of the product.
    """
    weight = weights["weight_hh"]
    hidden = weight.shape[1]
    splits = [2 * hidden, hidden]
    bias, inner = weights.get("bias_ih"), x.new_zeros(hidden)
    if "bias_hh" in weights:
        outer, inner = weights["bias_hh"].split(splits)
        bias = add(bias, torch.cat([outer, torch.zeros_like(inner)]))
    gates, drive_n = input_product(x, weights["weight_ih"], bias).split(splits)
    gates = torch.cat([gates, inner[:, None, None].expand_as(drive_n)])  # (3*hidden, time, batch)

    def step(drives: Sequence[Tensor], state: Sequence[Tensor]) -> State:
        r_z, n = torch.addmm(drives[0], weight, state[0]).split(splits)
        r, z = r_z.sigmoid().chunk(2)  # (hidden, batch) each
        n = torch.addcmul(drives[1], r, n).tanh()
        return (torch.lerp(n, state[0], z),)

    return step, [gates, drive_n]


def gru_reset_before_steps(x: Tensor, weights: Weights) -> tuple[Step, list[Tensor]]:
    """h' = (1-z)*n + z*h with n = tanh(W_in x + b_in + W_hn (r*h) + b_hn)."""
    hidden = weights["weight_hh"].shape[1]
    splits = [2 * hidden, hidden]
    gates, inner = weights["weight_hh"].split(splits)  # (2*hidden, hidden), (hidden, hidden)

    def step(drives: Sequence[Tensor], state: Sequence[Tensor]) -> State:
        h = state[0]
        r, z = torch.addmm(drives[0], gates, h).sigmoid().chunk(2)  # (hidden, batch) each
        n = torch.addmm(drives[1], inner, r * h).tanh()
        return (torch.lerp(n, h, z),)

    return step, list(summed_drive(x, weights).split(splits))


def mgu_steps(x: Tensor, weights: Weights) -> tuple[Step, list[Tensor]]:
    """h' = (1-f)*h + f*n with n = tanh(W_in x + b_in + W_hn (f*h) + b_hn)."""
    gate, inner = weights["weight_hh"].chunk(2)  # (hidden, hidden) each

    def step(drives: Sequence[Tensor], state: Sequence[Tensor]) -> State:
        h = state[0]
        f = torch.addmm(drives[0], gate, h).sigmoid()  # (hidden, batch)
        n = torch.addmm(drives[1], inner, f * h).tanh()
        return (torch.lerp(h, n, f),)

    return step, list(summed_drive(x, weights).chunk(2))


def elman(
    nonlinearity: str,
    activation: Callable[[Tensor], Tensor],
    fused: FusedCell,
    torch_operator: Callable[..., Any] | None = None,
) -> Cell:
    """The plain cell with one of its non-linearities."""
    options: dict[str, Any] = {"nonlinearity": nonlinearity}
    return Cell(
        name=f"rnn_{nonlinearity}",
        family="RNN",
        gates=("h",),
        steps=partial(rnn_steps, activation),
        reference=Reference(partial(reference.rnn_forward, **options), reference.rnn_backward),
        options=options,
        fused=fused,
        torch_operator=torch_operator,
    )


LSTM = Cell(
    name="lstm",
    family="LSTM",
    gates=("i", "f", "g", "o"),
    steps=lstm_steps,
    reference=Reference(reference.lstm_forward, reference.lstm_backward),
    parts=("h", "c"),
    keeping=KeepingGate("f", opposite="i"),
    fused=fused_cells.LSTM,
    torch_operator=torch.lstm,
)
GRU = Cell(
    name="gru",
    family="GRU",
    gates=("r", "z", "n"),
    steps=gru_steps,
    reference=Reference(partial(reference.gru_forward, reset_after=True), reference.gru_backward),
    options={"reset_after": True},
    keeping=KeepingGate("z"),
    fused=fused_cells.GRU,
    torch_operator=torch.gru,
)
GRU_RESET_BEFORE = Cell(
    name="gru_reset_before",
    family="GRU",
    gates=("r", "z", "n"),
    steps=gru_reset_before_steps,
    reference=Reference(partial(reference.gru_forward, reset_after=False), reference.gru_backward),
    options={"reset_after": False},
    keeping=KeepingGate("z"),
    fused=fused_cells.GRU_RESET_BEFORE,
)
MGU = Cell(
    name="mgu",
    family="MGU",
    gates=("f", "n"),
    steps=mgu_steps,
    reference=Reference(mgu.mgu_forward, mgu.mgu_backward),
    keeping=KeepingGate("f", sign=-1),
)

# By name; of a family the first has the default options.
CELLS = {
    cell.name: cell
    for cell in (
        elman("tanh", torch.tanh, fused_cells.RNN_TANH, torch.rnn_tanh),
        elman("relu", torch.relu, fused_cells.RNN_RELU, torch.rnn_relu),
        elman("sigmoid", torch.sigmoid, fused_cells.RNN_SIGMOID),
        LSTM,
        GRU,
        GRU_RESET_BEFORE,
        MGU,
    )
}


def cell_named(name: str) -> Cell:
    """The cell of this name."""
    return CELLS[name]


def option_choices(family: str) -> dict[str, list[object]]:
    """The options of a family of cells, each with its values, the default first."""
    choices: dict[str, list[object]] = {}
    for cell in CELLS.values():
        if cell.family == family:
            for option, value in cell.options.items():
                choices.setdefault(option, []).append(value)
    return choices


def find_cell(family: str, **options: object) -> Cell:
    """The cell of a family that has these options.

    Raises:
        UsageError: a value that an option does not have.
    """
    for cell in CELLS.values():
        if cell.family == family and cell.options == options:
            return cell
    for option, values in option_choices(family).items():
        if options.get(option) not in values:
            known = ", ".join(map(str, values))
            raise UsageError(f"{family} {option}: expected one of {known}, got {options.get(option)!r}")
    raise AssertionError(f"no cell of family {family} with {options}")
