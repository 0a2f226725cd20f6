"""One layer, one direction, on the C++ kernels.

What can be one large matrix product is one, by torch: the inputs of all steps of a small batch, and on the way back the
gradients of the inputs and of both weights. What goes step by step is the kernels'. As torch operators
(`torch.ops.recurra.scan`) they can be compiled, and differentiated: once by the kernels, further by the composed ones.
"""

import os
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from recurra.errors import ShapeError, UsageError
from recurra.ops import composed, kernels
from recurra.ops.composed import Weights
from recurra.ops.kernels import Cell, Scan
from recurra.ops.packing import Packing

State = tuple[Tensor, ...]


class Kind(NamedTuple):
    """A cell as the kernels know it."""

    cell: Cell
    gates: int
    composed: Callable[..., Any]  # the same in plain torch


KINDS = {
    "rnn_tanh": Kind(Cell.rnn_tanh, 1, composed.rnn),
    "rnn_relu": Kind(Cell.rnn_relu, 1, partial(composed.rnn, nonlinearity="relu")),
    "rnn_sigmoid": Kind(Cell.rnn_sigmoid, 1, partial(composed.rnn, nonlinearity="sigmoid")),
    "lstm": Kind(Cell.lstm, 4, composed.lstm),
    "gru": Kind(Cell.gru, 3, composed.gru),
    "gru_reset_before": Kind(Cell.gru_reset_before, 3, partial(composed.gru, reset_after=False)),
}
BATCH = 8  # sequences from which the kernels multiply the input as they go
INSTRUCTIONS = "RECURRA_INSTRUCTIONS"  # environment variable that names a lesser instruction set than the best


def why_not(x: Tensor, weights: Weights) -> str | None:
    """Why the kernels cannot take a layer; None where they can."""
    if x.device.type != "cpu":
        return f"the kernels run on the CPU, the input is on {x.device}"
    if x.dtype not in (torch.float32, torch.float64):
        return f"the kernels compute in float32 and float64, the input is {x.dtype}"
    if weights.weight_hr is not None:
        return "the kernels have no projection"
    if torch.is_autocast_enabled("cpu"):
        return "autocast chooses the precision"
    if not torch.compiler.is_compiling() and is_transformed():
        return "torch.func and forward-mode differentiation need operators of torch's own"
    return None


def is_transformed() -> bool:
    """Whether a transform of torch.func, or forward-mode differentiation, is under way."""
    return forward_ad._current_level >= 0 or torch._C._functorch.peek_interpreter_stack() is not None


def all_instructions() -> list[str]:
    """Names of the instruction sets that this processor can run, the best first."""
    return [found.name for found in kernels.supported()]


def instructions() -> str:
    """Name of the instruction set that the kernels use."""
    return kernels_for(os.environ.get(INSTRUCTIONS)).name


def run(
    kind: str, x: Tensor, state: State, weights: Weights, lengths: Tensor | None, reverse: bool
) -> tuple[Tensor, State]:
    """One layer; see `composed` for the meaning of everything."""
    h0, c0 = state if len(state) == 2 else (state[0], None)
    inputs = (x, h0, c0, *weights[:4])
    save = torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in inputs)
    output, *final = torch.ops.recurra.scan(*inputs, lengths, kind, reverse, save)[: 1 + len(state)]
    return output, tuple(final)


# --- the operators ------------------------------------------------------------------------------------------------

LIBRARY = torch.library.Library("recurra", "DEF")
LIBRARY.define(
    "scan(Tensor x, Tensor h0, Tensor? c0, Tensor weight_ih, Tensor weight_hh, Tensor? bias_ih, Tensor? bias_hh, "
    "Tensor? lengths, str kind, bool reverse, bool save) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)
LIBRARY.define(
    "scan_backward(Tensor? d_output, Tensor? d_h_n, Tensor? d_c_n, Tensor x, Tensor h0, Tensor? c0, Tensor weight_ih, "
    "Tensor weight_hh, Tensor? lengths, Tensor output, Tensor gates, Tensor inner, Tensor c, str kind, bool reverse, "
    "bool with_bias, bool with_x) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)


def scan(
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    lengths: Tensor | None,
    kind: str,
    reverse: bool,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A layer along time.

    Returns:
        output (time, batch, hidden), h_n, c_n (batch, hidden); and where `save`, of the valid steps, the activated
        gates (steps, gates*hidden), what a GRU keeps inside (steps, hidden), and c (steps, hidden). What a cell lacks
        is empty.
    """
    cell, num_gates, _ = KINDS[kind]
    check(num_gates, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh)
    time, batch, _ = x.shape
    hidden = weight_hh.shape[1]
    packing = Packing.of(lengths, time, batch)
    rows = x.flatten(0, 1)
    if packing:
        rows, h0, c0 = packing.pack(rows), packing.sort(h0), None if c0 is None else packing.sort(c0)
    bias, inner_bias = scan_biases(cell, bias_ih, bias_hh)
    call = Call(cell, weight_hh, time, batch, packing, reverse)
    gates = nothing(x)
    if call.multiplies(rows, weight_ih):
        gates = x.new_empty(len(rows), len(weight_ih)) if save and num_gates > 1 else gates
    else:
        gates = rows.mm(weight_ih.t())  # (steps, gates*hidden); the kernels add the bias
    h = gates if num_gates == 1 and gates.numel() else x.new_empty(len(rows), hidden)
    has_inner = cell == Cell.gru_reset_before or (cell == Cell.gru and save)
    inner = x.new_empty(len(rows), hidden) if has_inner else nothing(x)
    c = x.new_empty(len(rows), hidden) if c0 is not None and save else nothing(x)
    h_n, c_n = copy(h0), nothing(x) if c0 is None else copy(c0)
    call.reads(h0=h0, c0=c0, bias=bias, inner_bias=inner_bias)
    call.writes(gates=gates, inner=inner, h=h, c=c, h_n=h_n, c_n=c_n)
    call.scan.save = save
    call.run()
    if packing:
        h, h_n = packing.unpack(h, time * batch), packing.unsort(h_n)
        c_n = c_n if c0 is None else packing.unsort(c_n)
    kept = (gates if save and num_gates > 1 else nothing(x), inner if save else nothing(x), c)
    return h.view(time, batch, hidden), h_n, c_n, *kept


def check(gates: int, x: Tensor, h0: Tensor, c0: Tensor | None, *weights: Tensor | None) -> None:
    """Refuse what does not fit together: the kernels see addresses and could not tell.

    Raises:
        ShapeError: the shapes of x, the state, the weights (both matrices, both biases).
        UsageError: types that differ.
    """
    hidden = weights[1].shape[1] if weights[1] is not None else 0
    state = (x.shape[1], hidden)
    rows = gates * hidden
    names = ("h0", "c0", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
    shapes = (state, state, (rows, x.shape[2]), (rows, hidden), (rows,), (rows,))
    for name, tensor, shape in zip(names, (h0, c0, *weights), shapes, strict=True):
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ShapeError(f"{name}: expected {shape} beside x {tuple(x.shape)}, got {tuple(tensor.shape)}")
        if tensor is not None and tensor.dtype != x.dtype:
            raise UsageError(f"{name}: expected {x.dtype}, the type of x, got {tensor.dtype}")


def scan_backward(
    d_output: Tensor | None,
    d_h_n: Tensor | None,
    d_c_n: Tensor | None,
    x: Tensor,
    h0: Tensor,
    c0: Tensor | None,
    weight_ih: Tensor,
    weight_hh: Tensor,
    lengths: Tensor | None,
    output: Tensor,
    gates: Tensor,
    inner: Tensor,
    c: Tensor,
    kind: str,
    reverse: bool,
    with_bias: bool,
    with_x: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, h0, c0, both weights, and both biases one after the other; what is not asked for is empty."""
    cell, num_gates, _ = KINDS[kind]
    time, batch, _ = x.shape
    hidden = weight_hh.shape[1]
    packing = Packing.of(lengths, time, batch)
    rows, h = x.flatten(0, 1), output.view(time * batch, hidden)
    d_h = None if d_output is None else d_output.reshape(time * batch, hidden)
    d_h_n = torch.zeros_like(h0) if d_h_n is None else d_h_n
    d_c_n = torch.zeros_like(h0) if d_c_n is None else d_c_n
    if packing:
        rows, h, d_h = packing.pack(rows), packing.pack(h), None if d_h is None else packing.pack(d_h)
        h0, d_h_n, d_c_n = packing.sort(h0), packing.sort(d_h_n), packing.sort(d_c_n)
        c0 = None if c0 is None else packing.sort(c0)
    d_h0, d_c = copy(d_h_n), nothing(x) if c0 is None else copy(d_c_n)
    num_gradients = 4 if cell == Cell.gru else num_gates
    d_gates = x.new_empty(len(rows), num_gradients * hidden)
    call = Call(cell, weight_hh, time, batch, packing, reverse, backward=True)
    call.reads(h0=h0, c0=c0, gates=gates, inner=inner, h=h, c=c, d_h=d_h, d_h_n=d_h_n)
    call.writes(d_gates=d_gates, d_h0=d_h0, d_c=d_c)
    call.run()
    before = packing.before(h, h0, reverse) if packing else states_before(h, h0, reverse)
    d_rows, d_weight_ih, d_weight_hh, d_bias = products(
        cell, d_gates, rows, before, inner, weight_ih, weight_hh, with_bias, with_x
    )
    if packing:
        d_rows = packing.unpack(d_rows, time * batch) if with_x else d_rows
        d_h0, d_c = packing.unsort(d_h0), d_c if c0 is None else packing.unsort(d_c)
    d_x = d_rows.view_as(x) if with_x else d_rows
    return d_x, d_h0, d_c, d_weight_ih, d_weight_hh, d_bias


def products(
    cell: Cell,
    d_gates: Tensor,
    rows: Tensor,
    before: Tensor,
    inner: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    with_bias: bool,
    with_x: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the gradient of the gates of all steps means for the input, the weights, and both biases."""
    hidden = weight_hh.shape[1]
    total = d_gates.sum(0) if with_bias else nothing(rows)
    if cell == Cell.gru:  # n on the side of the input, r, z, n on the side of the state
        n, r_z = d_gates[:, :hidden], d_gates[:, hidden : 3 * hidden]
        d_weight_ih = room_for(weight_ih)
        torch.mm(r_z.t(), rows, out=d_weight_ih[: 2 * hidden])
        torch.mm(n.t(), rows, out=d_weight_ih[2 * hidden :])
        d_rows = r_z.mm(weight_ih[: 2 * hidden]).addmm_(n, weight_ih[2 * hidden :]) if with_x else nothing(rows)
        d_weight_hh = d_gates[:, hidden:].t().mm(before)
        d_bias = torch.cat([total[hidden : 3 * hidden], total[:hidden], total[hidden:]]) if with_bias else total
        return d_rows, d_weight_ih, d_weight_hh, d_bias
    d_weight_ih = d_gates.t().mm(rows)
    d_rows = d_gates.mm(weight_ih) if with_x else nothing(rows)
    d_bias = torch.cat([total, total]) if with_bias else total
    if cell == Cell.gru_reset_before:
        d_weight_hh = room_for(weight_hh)
        torch.mm(d_gates[:, : 2 * hidden].t(), before, out=d_weight_hh[: 2 * hidden])
        torch.mm(d_gates[:, 2 * hidden :].t(), inner, out=d_weight_hh[2 * hidden :])
    else:
        d_weight_hh = d_gates.t().mm(before)
    return d_rows, d_weight_ih, d_weight_hh, d_bias


def scan_biases(cell: Cell, bias_ih: Tensor | None, bias_hh: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """What is added to the product of the input; and inside the reset of a GRU, to that of the state."""
    given = bias_ih if bias_ih is not None else bias_hh
    if given is None:
        return None, None
    bias_ih = torch.zeros_like(given) if bias_ih is None else bias_ih
    bias_hh = torch.zeros_like(given) if bias_hh is None else bias_hh
    if cell != Cell.gru:
        return bias_ih + bias_hh, None
    r_z = 2 * (len(bias_ih) // 3)
    return torch.cat([bias_ih[:r_z] + bias_hh[:r_z], bias_ih[r_z:]]), bias_hh[r_z:].contiguous()


def states_before(h: Tensor, h0: Tensor, reverse: bool) -> Tensor:
    """The state that each step started from, (time*batch, hidden)."""
    batch = len(h0)
    if not len(h):
        return h
    return torch.cat([h[batch:], h0] if reverse else [h0, h[: len(h) - batch]])


def nothing(x: Tensor) -> Tensor:
    """What stands for a result that a cell lacks; a new one each time, since results may not be one another."""
    return x.new_empty(0)


def room_for(tensor: Tensor) -> Tensor:
    """Contiguous room for the gradient of a tensor, however that lies itself."""
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def copy(state: Tensor) -> Tensor:
    """A contiguous copy."""
    return state.clone(memory_format=torch.contiguous_format)


class Call:
    """A call of the kernels, which see sizes and addresses only: the tensors behind those are held here.

    Args:
        cell: which.
        weight_hh: (gates*hidden, hidden).
        time: steps.
        batch: sequences.
        packing: of the rows, None where all steps are valid.
        reverse: last step first.
        backward: the way back.
    """

    def __init__(
        self,
        cell: Cell,
        weight_hh: Tensor,
        time: int,
        batch: int,
        packing: Packing | None,
        reverse: bool,
        backward: bool = False,
    ) -> None:
        self.held: list[Tensor] = []
        self.kernels = kernels_for(os.environ.get(INSTRUCTIONS))
        self.scan = Scan()
        self.scan.cell, self.scan.reverse, self.scan.backward = cell, reverse, backward
        self.scan.is_double = weight_hh.dtype == torch.float64
        self.scan.steps, self.scan.batch, self.scan.hidden = time, batch, weight_hh.shape[1]
        self.reads(weights=self.packed(weight_hh))
        if packing:
            self.reads(counts=packing.counts, offsets=packing.offsets)

    def packed(self, weight: Tensor) -> Tensor:
        """Weights in the order the kernels read them."""
        scan, weight = self.scan, weight.contiguous()
        what = (scan.cell, scan.is_double, scan.hidden, weight.shape[1])
        room = weight.new_empty(self.kernels.packed_size(*what, scan.backward))
        self.kernels.pack(*what, weight.data_ptr(), room.data_ptr(), scan.backward, torch.get_num_threads())
        return room

    def multiplies(self, rows: Tensor, weight_ih: Tensor) -> bool:
        """Let the kernels multiply the input too, if that pays: in a batch, whose rows share each read of a weight.

        Args:
            rows: input of all valid steps, (steps, input).
            weight_ih: (gates*hidden, input).
        """
        if self.scan.batch < BATCH or not rows.shape[1] or self.scan.cell == Cell.gru_reset_before:
            return False
        self.scan.inputs = rows.shape[1]
        self.reads(x=rows, input_weights=self.packed(weight_ih))
        return True

    def reads(self, **tensors: Tensor | None) -> None:
        """Hand over tensors by name; none, or an empty one, is a null pointer."""
        for name, tensor in tensors.items():
            if tensor is not None and tensor.numel():
                tensor = tensor.contiguous()
                self.held.append(tensor)
                setattr(self.scan, name, tensor.data_ptr())

    def writes(self, **tensors: Tensor) -> None:
        """Hand over tensors that the kernels write to."""
        assert all(tensor.is_contiguous() for tensor in tensors.values())
        self.reads(**tensors)

    def run(self) -> None:
        """Compute."""
        self.kernels.run(self.scan, torch.get_num_threads())


@cache
def kernels_for(name: str | None) -> kernels.Kernels:
    """The kernels for an instruction set, by default for the best of this processor.

    Raises:
        UsageError: this processor lacks it.
    """
    supported = {found.name: found for found in kernels.supported()}
    name = name or next(iter(supported))
    if name not in supported:
        raise UsageError(f"{INSTRUCTIONS}={name}: this processor has {', '.join(supported)}")
    return supported[name]


# --- what torch needs to know about the operators -----------------------------------------------------------------


def fake_scan(x: Tensor, h0: Tensor, c0: Tensor | None, *rest: Any) -> tuple[Tensor, ...]:  # noqa: ARG001
    """Shapes of what `scan` returns."""
    _, weight_hh, _, _, lengths, kind, _, save = rest
    cell, gates, _ = KINDS[kind]
    time, batch, _ = x.shape
    hidden = weight_hh.shape[1]
    is_kept = save and gates > 1
    steps: Any = torch.library.get_ctx().new_dynamic_size() if is_kept and lengths is not None else time * batch
    return (
        x.new_empty(time, batch, hidden),
        x.new_empty(batch, hidden),
        nothing(x) if c0 is None else x.new_empty(batch, hidden),
        x.new_empty(steps, gates * hidden) if is_kept else nothing(x),
        x.new_empty(steps, hidden) if save and cell in (Cell.gru, Cell.gru_reset_before) else nothing(x),
        x.new_empty(steps, hidden) if save and c0 is not None else nothing(x),
    )


def fake_scan_backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Shapes of what `scan_backward` returns."""
    x, h0, c0, weight_ih, weight_hh = arguments[3:8]
    with_bias, with_x = arguments[-2:]
    return (
        room_for(x) if with_x else nothing(x),
        room_for(h0),
        nothing(x) if c0 is None else room_for(c0),
        room_for(weight_ih),
        room_for(weight_hh),
        x.new_empty(2 * len(weight_hh) if with_bias else 0),
    )


def remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep for the way back what it needs."""
    x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, kind, reverse, _ = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, output[0], *output[3:])
    ctx.kind, ctx.reverse = kind, reverse


def go_back(ctx: Any, *d_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
    """Gradients of the inputs of `scan`; where they shall be differentiated again, by the composed operators."""
    *inputs, lengths, output, gates, inner, c = ctx.saved_tensors
    if torch.is_grad_enabled():
        return *differentiable_gradients(ctx, inputs, lengths, d_outputs[:3]), None, None, None, None
    x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh = inputs
    has_bias = bias_ih is not None or bias_hh is not None
    d_x, d_h0, d_c0, d_weight_ih, d_weight_hh, d_bias = torch.ops.recurra.scan_backward(
        *d_outputs[:3],
        *(x, h0, c0, weight_ih, weight_hh, lengths, output, gates, inner, c),
        *(ctx.kind, ctx.reverse, has_bias, ctx.needs_input_grad[0]),
    )
    d_bias_ih, d_bias_hh = d_bias.chunk(2) if has_bias else (None, None)
    d_bias_ih, d_bias_hh = None if bias_ih is None else d_bias_ih, None if bias_hh is None else d_bias_hh
    d_x, d_c0 = d_x if ctx.needs_input_grad[0] else None, None if c0 is None else d_c0
    return d_x, d_h0, d_c0, d_weight_ih, d_weight_hh, d_bias_ih, d_bias_hh, None, None, None, None


def differentiable_gradients(
    ctx: Any, inputs: Sequence[Tensor | None], lengths: Tensor | None, d_outputs: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """The gradients of the first seven inputs of `scan`, by operators that autograd can differentiate again."""
    # Views stand apart: an input computed from another, or passed twice, has a gradient of its own here.
    inputs = [None if part is None else part.view_as(part) for part in inputs]
    x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh = inputs
    state = h0 if c0 is None else (h0, c0)
    assert weight_ih is not None
    assert weight_hh is not None
    weights = Weights(weight_ih, weight_hh, bias_ih, bias_hh)
    output, final = KINDS[ctx.kind].composed(x, state, weights, lengths=lengths, reverse=ctx.reverse)
    outputs = [output, final] if c0 is None else [output, *final]
    pairs = [(o, d) for o, d in zip(outputs, d_outputs, strict=False) if d is not None and o.requires_grad]
    wanted = [part for part, needed in zip(inputs, ctx.needs_input_grad, strict=False) if needed and part is not None]
    found = torch.autograd.grad(
        [o for o, _ in pairs], wanted, [d for _, d in pairs], create_graph=True, allow_unused=True
    )
    gradients = iter(found)
    return [next(gradients) if needed else None for needed in ctx.needs_input_grad[:7]]


LIBRARY.impl("scan", scan, "CPU")
LIBRARY.impl("scan_backward", scan_backward, "CPU")
torch.library.register_fake("recurra::scan", fake_scan, lib=LIBRARY)
torch.library.register_fake("recurra::scan_backward", fake_scan_backward, lib=LIBRARY)
torch.library.register_autograd("recurra::scan", go_back, setup_context=remember, lib=LIBRARY)
