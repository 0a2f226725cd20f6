"""One layer, one direction, on the C++ kernels.

What can be one large matrix product is one, by torch: the inputs of all steps of a small batch, and on the way back the
gradients of the inputs and of both weights. What goes step by step is the kernels'. As torch operators
(`torch.ops.recurra.scan`) they can be compiled, and differentiated: once by the kernels, further by the composed ones.

For the way back the gates of all steps are kept, or (`recompute`) only the states, of which the gates of all steps are
then computed again at once.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

from recurra.errors import ShapeError, UsageError
from recurra.ops import composed
from recurra.ops.composed import Weights
from recurra.ops.instructions import kernels_in_use
from recurra.ops.kernels import Cell, Scan
from recurra.ops.packing import Packing
from recurra.ops.products import linear, product, weight_gradients

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


def is_traced() -> bool:
    """Whether somebody writes down the operators of a call."""
    if torch.compiler.is_compiling():
        return True
    return torch._C._get_tracing_state() is not None or torch._C._len_torch_dispatch_stack() > 0


def is_transformed() -> bool:
    """Whether a transform of torch.func, or forward-mode differentiation, is under way."""
    return forward_ad._current_level >= 0 or torch._C._functorch.peek_interpreter_stack() is not None


def run(
    kind: str, x: Tensor, state: State, weights: Weights, lengths: Tensor | None, reverse: bool, recompute: bool
) -> tuple[Tensor, State]:
    """One layer; see `composed` for the meaning of everything, and above for `recompute`."""
    h0, c0 = state if len(state) == 2 else (state[0], None)
    inputs = (x, h0, c0, *weights[:4])
    save = torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in inputs)
    function: Callable[..., Any] = torch.ops.recurra.scan
    if type(x) is Tensor and not is_traced():  # past the dispatcher, which costs as much as many steps of a small layer
        function = PlainScan.apply if save else scan
    output, *final = function(*inputs, lengths, kind, reverse, save, recompute)[: 1 + len(state)]
    return output, tuple(final)


# --- the operators ------------------------------------------------------------------------------------------------

LIBRARY = torch.library.Library("recurra", "DEF")
LIBRARY.define(
    "scan(Tensor x, Tensor h0, Tensor? c0, Tensor weight_ih, Tensor weight_hh, Tensor? bias_ih, Tensor? bias_hh, "
    "Tensor? lengths, str kind, bool reverse, bool save, bool recompute) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)
LIBRARY.define(
    "scan_backward(Tensor? d_output, Tensor? d_h_n, Tensor? d_c_n, Tensor x, Tensor h0, Tensor? c0, Tensor weight_ih, "
    "Tensor weight_hh, Tensor? bias_ih, Tensor? bias_hh, Tensor? lengths, Tensor output, Tensor gates, Tensor inner, "
    "Tensor c, str kind, bool reverse, bool with_x) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
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
    recompute: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A layer along time.

    Returns:
        output (time, batch, hidden), h_n, c_n (batch, hidden); and where `save`, of the valid steps, the activated
        gates (steps, gates*hidden) and what a GRU keeps inside (steps, hidden), unless these shall be recomputed, and
        c (steps, hidden). What a cell lacks is empty.
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
    save_gates = save and not recompute and num_gates > 1
    gates = nothing(x)
    if batch < BATCH or not x.shape[2]:
        gates = linear(rows, weight_ih)  # (steps, gates*hidden); the kernels add the bias
    else:
        call.multiply(rows, weight_ih)
    if not gates.numel() and (save_gates or cell == Cell.gru_reset_before):
        gates = x.new_empty(len(rows), len(weight_ih))
    h = gates if num_gates == 1 and gates.numel() else x.new_empty(len(rows), hidden)
    has_inner = cell == Cell.gru_reset_before or (cell == Cell.gru and save_gates)
    inner = x.new_empty(len(rows), hidden) if has_inner else nothing(x)
    c = x.new_empty(len(rows), hidden) if c0 is not None and save else nothing(x)
    h_n, c_n = copy(h0), nothing(x) if c0 is None else copy(c0)
    call.reads(h0=h0, c0=c0, bias=bias, inner_bias=inner_bias)
    call.writes(gates=gates, inner=inner, h=h, c=c, h_n=h_n, c_n=c_n)
    call.scan.save = save_gates
    call.run()
    if packing:
        h, h_n = packing.unpack(h, time * batch), packing.unsort(h_n)
        c_n = c_n if c0 is None else packing.unsort(c_n)
    kept = (gates, inner, c) if save_gates else (nothing(x), nothing(x), c)
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
    bias_ih: Tensor | None,
    bias_hh: Tensor | None,
    lengths: Tensor | None,
    output: Tensor,
    gates: Tensor,
    inner: Tensor,
    c: Tensor,
    kind: str,
    reverse: bool,
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
    before = (packing.before(h, h0, reverse),) if packing else states_before(h, h0, reverse)
    if num_gates > 1 and not gates.numel():
        gates, inner = recomputed(cell, rows, before, weight_ih, weight_hh, *scan_biases(cell, bias_ih, bias_hh))
    d_h0, d_c = copy(d_h_n), nothing(x) if c0 is None else copy(d_c_n)
    num_gradients = 4 if cell == Cell.gru else num_gates
    d_gates = x.new_empty(len(rows), num_gradients * hidden)
    call = Call(cell, weight_hh, time, batch, packing, reverse, backward=True)
    call.reads(h0=h0, c0=c0, gates=gates, inner=inner, h=h, c=c, d_h=d_h, d_h_n=d_h_n)
    call.writes(d_gates=d_gates, d_h0=d_h0, d_c=d_c)
    call.run()
    d_weight_ih, d_weight_hh = gradients_of_weights(cell, d_gates, rows, before, inner)
    d_rows = gradient_of_rows(cell, d_gates, weight_ih) if with_x else nothing(x)
    d_bias = gradient_of_biases(cell, d_gates) if bias_ih is not None or bias_hh is not None else nothing(x)
    if packing:
        d_rows = packing.unpack(d_rows, time * batch) if with_x else d_rows
        d_h0, d_c = packing.unsort(d_h0), d_c if c0 is None else packing.unsort(d_c)
    d_x = d_rows.view_as(x) if with_x else d_rows
    return d_x, d_h0, d_c, d_weight_ih, d_weight_hh, d_bias


def recomputed(
    cell: Cell,
    rows: Tensor,
    before: tuple[Tensor, ...],
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None,
    inner_bias: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The activated gates of all steps, and what a GRU keeps inside, from the states that the steps started from."""
    hidden = weight_hh.shape[1]
    states = torch.cat(before)  # (steps, hidden)
    gates = linear(rows, weight_ih, bias)  # (steps, gates*hidden)
    if cell == Cell.lstm:
        gates.add_(linear(states, weight_hh))
        gates[:, : 2 * hidden].sigmoid_()
        gates[:, 2 * hidden : 3 * hidden].tanh_()
        gates[:, 3 * hidden :].sigmoid_()
        return gates, nothing(rows)
    r_z, n = gates.split([2 * hidden, hidden], 1)
    r_z.add_(linear(states, weight_hh[: 2 * hidden])).sigmoid_()
    r = r_z[:, :hidden]
    if cell == Cell.gru:
        inner = linear(states, weight_hh[2 * hidden :], inner_bias)
        n.addcmul_(r, inner).tanh_()
    else:
        inner = r * states
        n.add_(linear(inner, weight_hh[2 * hidden :])).tanh_()
    return gates, inner


def gradients_of_weights(
    cell: Cell, d_gates: Tensor, rows: Tensor, before: tuple[Tensor, ...], inner: Tensor
) -> list[Tensor]:
    """Gradients of weight_ih and weight_hh from that of the gates of all steps."""
    if cell == Cell.gru:  # n on the side of the input, r, z, n on the side of the state
        hidden = before[0].shape[1]
        (turned,) = weight_gradients(d_gates[:, : 3 * hidden], (rows,))
        (d_weight_hh,) = weight_gradients(d_gates[:, hidden:], before)
        return [turned.roll(-hidden, 0), d_weight_hh]
    if cell == Cell.gru_reset_before:  # n is multiplied with r h
        hidden = before[0].shape[1]
        (d_weight_ih,) = weight_gradients(d_gates, (rows,))
        (of_states,) = weight_gradients(d_gates[:, : 2 * hidden], before)
        (of_inner,) = weight_gradients(d_gates[:, 2 * hidden :], (inner,))
        return [d_weight_ih, torch.cat([of_states, of_inner])]
    return weight_gradients(d_gates, (rows,), before)


def gradient_of_rows(cell: Cell, d_gates: Tensor, weight_ih: Tensor) -> Tensor:
    """Gradient of the input of all valid steps, (steps, input)."""
    if cell == Cell.gru:
        hidden = len(weight_ih) // 3
        r_z, n = weight_ih.split([2 * hidden, hidden])
        return d_gates[:, hidden : 3 * hidden].mm(r_z).addmm_(d_gates[:, :hidden], n)
    return product(d_gates, weight_ih)


def gradient_of_biases(cell: Cell, d_gates: Tensor) -> Tensor:
    """Gradients of bias_ih and bias_hh, one after the other."""
    total = d_gates.sum(0)
    if cell == Cell.gru:
        hidden = len(total) // 4
        return torch.cat([total[hidden : 3 * hidden], total[:hidden], total[hidden:]])
    return torch.cat([total, total])


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


def states_before(h: Tensor, h0: Tensor, reverse: bool) -> tuple[Tensor, ...]:
    """The states that the steps started from, (time*batch, hidden) in all, in pieces."""
    batch = len(h0)
    if not len(h):
        return (h,)
    return (h[batch:], h0) if reverse else (h0, h[: len(h) - batch])


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
        self.kernels = kernels_in_use()
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

    def multiply(self, rows: Tensor | None, weight_ih: Tensor) -> None:
        """Let the kernels multiply the input too: in a batch its rows share each read of a weight.

        Args:
            rows: input of all valid steps, (steps, input); none where it is handed over later.
            weight_ih: (gates*hidden, input).
        """
        self.scan.inputs = weight_ih.shape[1]
        self.reads(x=rows, input_weights=self.packed(weight_ih))

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


# --- what torch needs to know about the operators -----------------------------------------------------------------


def fake_scan(x: Tensor, h0: Tensor, c0: Tensor | None, *rest: Any) -> tuple[Tensor, ...]:  # noqa: ARG001
    """Shapes of what `scan` returns."""
    _, weight_hh, _, _, lengths, kind, _, save, recompute = rest
    cell, gates, _ = KINDS[kind]
    time, batch, _ = x.shape
    hidden = weight_hh.shape[1]
    is_kept = save and not recompute and gates > 1
    has_steps = is_kept or (save and c0 is not None)
    steps: Any = torch.library.get_ctx().new_dynamic_size() if has_steps and lengths is not None else time * batch
    return (
        x.new_empty(time, batch, hidden),
        x.new_empty(batch, hidden),
        nothing(x) if c0 is None else x.new_empty(batch, hidden),
        x.new_empty(steps, gates * hidden) if is_kept else nothing(x),
        x.new_empty(steps, hidden) if is_kept and cell in (Cell.gru, Cell.gru_reset_before) else nothing(x),
        x.new_empty(steps, hidden) if save and c0 is not None else nothing(x),
    )


def fake_scan_backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Shapes of what `scan_backward` returns."""
    x, h0, c0, weight_ih, weight_hh = arguments[3:8]
    with_bias, with_x = arguments[8] is not None or arguments[9] is not None, arguments[-1]
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
    x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, kind, reverse, *_ = inputs
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, output[0], *output[3:])
    ctx.kind, ctx.reverse = kind, reverse


def go_back(ctx: Any, *d_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
    """Gradients of the inputs of `scan`; where they shall be differentiated again, by the composed operators."""
    *inputs, lengths, output, gates, inner, c = ctx.saved_tensors
    if torch.is_grad_enabled():
        return *differentiable_gradients(ctx, inputs, lengths, d_outputs[:3]), *(None,) * 5
    x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh = inputs
    has_bias = bias_ih is not None or bias_hh is not None
    backward: Callable[..., tuple[Tensor, ...]] = torch.ops.recurra.scan_backward if is_traced() else scan_backward
    d_x, d_h0, d_c0, d_weight_ih, d_weight_hh, d_bias = backward(
        *d_outputs[:3],
        *(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, output, gates, inner, c),
        *(ctx.kind, ctx.reverse, ctx.needs_input_grad[0]),
    )
    d_bias_ih, d_bias_hh = d_bias.chunk(2) if has_bias else (None, None)
    found = (d_x, d_h0, d_c0, d_weight_ih, d_weight_hh, d_bias_ih, d_bias_hh)
    return *(d if needed else None for d, needed in zip(found, ctx.needs_input_grad, strict=False)), *(None,) * 5


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


class PlainScan(torch.autograd.Function):
    """`scan` as autograd alone sees it, for calls that nobody traces."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        """The operator's."""
        outputs = scan(*inputs)
        remember(ctx, inputs, outputs)
        return outputs[:3]

    @staticmethod
    def backward(ctx: Any, *d_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        """The operator's."""
        return go_back(ctx, *d_outputs)


def opaque(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that torch.compile, if it is at work, must not look into: it would find addresses."""

    def call(*arguments: Any) -> Any:
        if "torch._dynamo" in sys.modules:  # else nobody has compiled anything, and importing it takes a second
            return torch.compiler.disable(function)(*arguments)
        return function(*arguments)

    return call


LIBRARY.impl("scan", opaque(scan), "CPU")
LIBRARY.impl("scan_backward", opaque(scan_backward), "CPU")
torch.library.register_fake("recurra::scan", fake_scan, lib=LIBRARY)
torch.library.register_fake("recurra::scan_backward", fake_scan_backward, lib=LIBRARY)
torch.library.register_autograd("recurra::scan", go_back, setup_context=remember, lib=LIBRARY)
