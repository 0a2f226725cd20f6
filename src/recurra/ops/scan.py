"""One layer, one direction, on the C++ kernels: forward along time, and the backward pass.

Torch computes what can be one large matrix product: the input of all steps of a small batch, and in the backward pass
the gradients of the input and of both weights. The kernels run what goes step by step. For the backward pass the gates
of all steps are kept, or (`recompute`) only the states, from which all gates are then computed again at once.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.errors import ShapeError, UsageError
from recurra.ops.cells import CELLS, Cell, Sizes
from recurra.ops.fused_cells import FusedCell, Recurrence
from recurra.ops.gemm import linear
from recurra.ops.kernel_call import KernelCall
from recurra.ops.packing import Packing

BATCH = 8  # sequences from which the kernels multiply the input as they go


class ScanInputs(NamedTuple):
    """The tensors of a layer; of a state of one part c0 is absent."""

    x: Tensor  # (time, batch, input)
    h0: Tensor  # (batch, hidden)
    c0: Tensor | None  # (batch, hidden)
    weight_ih: Tensor  # (gates*hidden, input)
    weight_hh: Tensor  # (gates*hidden, hidden)
    bias_ih: Tensor | None  # (gates*hidden,)
    bias_hh: Tensor | None  # (gates*hidden,)
    lengths: Tensor | None  # integer (batch,)


class ScanOptions(NamedTuple):
    """What else a forward pass depends on."""

    cell: str  # its name
    reverse: bool  # last step first
    save: bool  # keep what a backward pass needs
    recompute: bool  # keep no gates for it


class Saved(NamedTuple):
    """What a forward pass leaves for the backward pass; what a cell lacks is empty."""

    output: Tensor  # (time, batch, hidden)
    gates: Tensor  # activated, of the valid steps, (steps, gates*hidden)
    inner: Tensor  # what a GRU keeps beside them, (steps, hidden)
    c: Tensor  # (steps, hidden)


def scan(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A layer along time.

    Args:
        arguments: those of `ScanInputs`, then those of `ScanOptions`.

    Returns:
        output (time, batch, hidden), h_n and c_n (batch, hidden); then gates, inner and c of `Saved`, all empty without
        `save`, the first two with `recompute` too.
    """
    inputs, options = ScanInputs(*arguments[:8]), ScanOptions(*arguments[8:])
    x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths = inputs
    cell, fused = cell_and_kernel(options.cell)
    check(cell, inputs)
    time, batch, _ = x.shape
    hidden = weight_hh.shape[1]
    packing = Packing.of(lengths, time, batch)
    rows = x.flatten(0, 1)
    if packing:
        rows, h0, c0 = packing.pack(rows), packing.sort(h0), None if c0 is None else packing.sort(c0)
    bias, inner_bias = fused.scan_biases(bias_ih, bias_hh)
    call = KernelCall(fused.kernel, weight_hh, time, batch, packing, options.reverse)
    save_gates = options.save and not options.recompute and fused.saves_gates
    gates = nothing(x)
    if batch < BATCH or not x.shape[2]:
        gates = linear(rows, weight_ih)  # (steps, gates*hidden); the kernels add the bias
    else:
        call.multiply(rows, weight_ih)
    if not gates.numel() and (save_gates or fused.needs_scratch):
        gates = x.new_empty(len(rows), len(weight_ih))
    h = x.new_empty(len(rows), hidden) if fused.saves_gates or not gates.numel() else gates
    has_inner = fused.needs_scratch or (fused.keeps_inner and save_gates)
    inner = x.new_empty(len(rows), hidden) if has_inner else nothing(x)
    c = x.new_empty(len(rows), hidden) if c0 is not None and options.save else nothing(x)
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


def cell_and_kernel(name: str) -> tuple[Cell, FusedCell]:
    """A cell by its name, and its kernel, which it must have."""
    cell = CELLS[name]
    assert cell.fused is not None
    return cell, cell.fused


def check(cell: Cell, inputs: ScanInputs) -> None:
    """Refuse what does not fit together: the kernels see addresses and could not tell.

    Raises:
        ShapeError: the shapes of x, the state, the weights (both matrices, both biases).
        UsageError: types that differ.
    """
    x = inputs.x
    _, batch, features = x.shape
    for name, shape in expected_shapes(cell, batch, features, inputs.weight_hh.shape[1]):
        tensor = getattr(inputs, name)
        if tensor is not None and tensor.shape != shape:
            raise ShapeError(f"{name}: expected {shape} beside x {tuple(x.shape)}, got {tuple(tensor.shape)}")
        if tensor is not None and tensor.dtype != x.dtype:
            raise UsageError(f"{name}: expected {x.dtype}, the type of x, got {tensor.dtype}")


@lru_cache(maxsize=256)
def expected_shapes(cell: Cell, batch: int, features: int, hidden: int) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the state and the weights; kept, since a small layer would take longer to write them down."""
    state = (batch, hidden)
    return list({"h0": state, "c0": state, **cell.weight_shapes(Sizes(features, hidden))}.items())


def scan_backward(*arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The gradients of a layer.

    Args:
        arguments: the gradients of output, h_n and c_n, None where there is none; those of `ScanInputs`; those of
            `Saved`; the name of the cell, `reverse`, and whether the gradient of x is wanted.

    Returns:
        Gradients of x, h0, c0, both weights, and both biases one after the other; what is not wanted is empty.
    """
    d_output, d_h_n, d_c_n = arguments[:3]
    inputs, saved = ScanInputs(*arguments[3:11]), Saved(*arguments[11:15])
    name, reverse, with_x = arguments[15:]
    x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths = inputs
    gates, inner = saved.gates, saved.inner
    _, fused = cell_and_kernel(name)
    time, batch, _ = x.shape
    hidden = weight_hh.shape[1]
    packing = Packing.of(lengths, time, batch)
    rows, h = x.flatten(0, 1), saved.output.view(time * batch, hidden)
    d_h = None if d_output is None else d_output.reshape(time * batch, hidden)
    d_h_n = torch.zeros_like(h0) if d_h_n is None else d_h_n
    d_c_n = torch.zeros_like(h0) if d_c_n is None else d_c_n
    if packing:
        rows, h, d_h = packing.pack(rows), packing.pack(h), None if d_h is None else packing.pack(d_h)
        h0, d_h_n, d_c_n = packing.sort(h0), packing.sort(d_h_n), packing.sort(d_c_n)
        c0 = None if c0 is None else packing.sort(c0)
    before = (packing.before(h, h0, reverse),) if packing else states_before(h, h0, reverse)
    if fused.gates_again and not gates.numel():
        biases = fused.scan_biases(bias_ih, bias_hh)
        gates, again = fused.gates_again(Recurrence(rows, torch.cat(before), weight_ih, weight_hh, *biases))
        inner = inner if again is None else again
    d_h0, d_c = copy(d_h_n), nothing(x) if c0 is None else copy(d_c_n)
    d_gates = x.new_empty(len(rows), fused.num_blocks * hidden)
    call = KernelCall(fused.kernel, weight_hh, time, batch, packing, reverse, backward=True)
    call.reads(h0=h0, c0=c0, gates=gates, inner=inner, h=h, c=saved.c, d_h=d_h, d_h_n=d_h_n)
    call.writes(d_gates=d_gates, d_h0=d_h0, d_c=d_c)
    call.run()
    d_weight_ih, d_weight_hh = fused.weight_gradients(d_gates, rows, before, inner)
    d_rows = fused.row_gradient(d_gates, weight_ih) if with_x else nothing(x)
    has_bias = bias_ih is not None or bias_hh is not None
    d_bias = fused.bias_gradients(d_gates) if has_bias else nothing(x)
    if packing:
        d_rows = packing.unpack(d_rows, time * batch) if with_x else d_rows
        d_h0, d_c = packing.unsort(d_h0), d_c if c0 is None else packing.unsort(d_c)
    d_x = d_rows.view_as(x) if with_x else d_rows
    return d_x, d_h0, d_c, d_weight_ih, d_weight_hh, d_bias


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
