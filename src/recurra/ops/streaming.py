"""A stack of layers one step at a time, on the kernels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.ops.calls import Call
from recurra.ops.composed import Weights
from recurra.ops.kernels import Cell, Stream
from recurra.ops.scan import KINDS, copy, scan_biases

Slot = tuple[Tensor, ...]


class FusedSteps:
    """Packed weights and state of a stack.

    Args:
        kind: of `scan.KINDS`.
        layers: weights of each layer, bottom first; what becomes of them later changes nothing here.
        slots: state of each layer before the first step, (batch, hidden) each.
    """

    def __init__(self, kind: str, layers: Sequence[Weights], slots: Sequence[Slot]) -> None:
        self.slots = [tuple(map(copy, slot)) for slot in slots]
        pairs = zip(layers, self.slots, strict=True)
        self.calls = [step_call(kind, weights, slot) for weights, slot in pairs]
        self.stream = Stream(self.calls[0].kernels, [call.scan for call in self.calls])


def step_call(kind: str, weights: Weights, slot: Slot) -> Call:
    """One layer as a call of one step, which finds its state in `slot` and leaves it there."""
    cell, h = KINDS[kind].cell, slot[0]
    weight_ih, weight_hh, *biases = (None if part is None else part.detach() for part in weights[:4])
    assert weight_ih is not None
    assert weight_hh is not None
    call = Call(cell, weight_hh, 1, len(h), None, reverse=False)
    call.multiply(None, weight_ih)
    bias, inner_bias = scan_biases(cell, *biases)
    call.reads(bias=bias, inner_bias=None if inner_bias is None else copy(inner_bias))
    call.writes(h=torch.empty_like(h), h_n=h)  # the stream sets h0, from the h_n of the step before
    if cell == Cell.lstm:
        call.writes(c_n=slot[1])
    if cell == Cell.gru_reset_before:
        call.writes(gates=h.new_empty(len(h), len(weight_ih)), inner=torch.empty_like(h))
    return call
