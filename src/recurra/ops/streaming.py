"""A stack of layers one step at a time, on the kernels."""

from collections.abc import Sequence

import torch

from recurra.ops.cells import Cell, State, Weights
from recurra.ops.kernel_call import KernelCall
from recurra.ops.kernels import Stream
from recurra.ops.scan import copy


class KernelStream:
    """Packed weights and state of a stack.

    Args:
        cell: of all layers.
        layers: weights of each layer, bottom first; later changes to them change nothing here.
        states: state of each layer before the first step, (batch, hidden) each.
    """

    def __init__(self, cell: Cell, layers: Sequence[Weights], states: Sequence[State]) -> None:
        self.states = [tuple(map(copy, state)) for state in states]
        self.calls = [step_call(cell, *pair) for pair in zip(layers, self.states, strict=True)]
        self.stream = Stream(self.calls[0].kernels, [call.scan for call in self.calls])


def step_call(cell: Cell, weights: Weights, state: State) -> KernelCall:
    """One layer as a call of one step, which reads its state from `state` and writes the next one there."""
    fused, h = cell.fused, state[0]
    assert fused is not None
    own = {name: weight.detach() for name, weight in weights.items()}
    call = KernelCall(fused.kernel, own["weight_hh"], 1, len(h), None, reverse=False)
    call.multiply(None, own["weight_ih"])
    bias, inner_bias = fused.scan_biases(own.get("bias_ih"), own.get("bias_hh"))
    call.reads(bias=bias, inner_bias=None if inner_bias is None else copy(inner_bias))
    call.writes(h=torch.empty_like(h), h_n=h)  # the stream sets h0, from the h_n of the step before
    if len(state) > 1:
        call.writes(c_n=state[1])
    if fused.needs_scratch:
        call.writes(gates=h.new_empty(len(h), len(own["weight_ih"])), inner=torch.empty_like(h))
    return call
