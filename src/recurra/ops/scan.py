"""One layer, one direction, on the C++ kernels: forward along time, and the way back.

What can be one large matrix product is one, by torch: the inputs of all steps of a small batch, and on the way back the
gradients of the inputs and of both weights. What goes step by step is the kernels'. For the way back the gates of all
steps are kept, or (`recompute`) only the states, of which the gates of all steps are then computed again at once.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.errors import ShapeError, UsageError
from recurra.ops.calls import Call
from recurra.ops.composed import gru, lstm, rnn
from recurra.ops.gemm import Factor, linear, product, weight_gradients
from recurra.ops.kernels import Cell
from recurra.ops.packing import Packing


class Kind(NamedTuple):
    """A cell as the kernels know it."""

    cell: Cell
    gates: int
    composed: Callable[..., Any]  # the same in plain torch


KINDS = {
    "rnn_tanh": Kind(Cell.rnn_tanh, 1, rnn),
    "rnn_relu": Kind(Cell.rnn_relu, 1, partial(rnn, nonlinearity="relu")),
    "rnn_sigmoid": Kind(Cell.rnn_sigmoid, 1, partial(rnn, nonlinearity="sigmoid")),
    "lstm": Kind(Cell.lstm, 4, lstm),
    "gru": Kind(Cell.gru, 3, gru),
    "gru_reset_before": Kind(Cell.gru_reset_before, 3, partial(gru, reset_after=False)),
}
BATCH = 8  # sequences from which the kernels multiply the input as they go


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
    hidden = before[0].shape[1]
    if cell == Cell.gru:  # n on the side of the input, r, z, n on the side of the state
        found = weight_gradients(d_gates, Factor((rows,), slice(3 * hidden)), Factor(before, slice(hidden, None)))
        return [found[0].roll(-hidden, 0), found[1]]
    if cell == Cell.gru_reset_before:  # n is multiplied with r h
        of_states, of_inner = Factor(before, slice(2 * hidden)), Factor((inner,), slice(2 * hidden, None))
        found = weight_gradients(d_gates, Factor((rows,)), of_states, of_inner)
        return [found[0], torch.cat(found[1:])]
    return weight_gradients(d_gates, Factor((rows,)), Factor(before))


def gradient_of_rows(cell: Cell, d_gates: Tensor, weight_ih: Tensor) -> Tensor:
    """Gradient of the input of all valid steps, (steps, input)."""
    if cell == Cell.gru:  # n on the side of the input, r, z, n on the side of the state
        hidden = len(weight_ih) // 3
        return product(d_gates[:, : 3 * hidden], weight_ih.roll(hidden, 0))
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
