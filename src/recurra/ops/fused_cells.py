"""What is left around the kernel of a cell: large matrix products, whose operands differ from cell to cell.

A kernel leaves the gradient of the gates of all valid steps, d_gates (steps, blocks*hidden). For most cells that is one
block for each gate. The kernel of a GRU that resets after the product writes four: n as the input sees it, r, z, and n
as the state sees it.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from recurra.ops.gemm import Factor, linear, product, weight_gradients
from recurra.ops.kernels import Cell as Kernel

Biases: TypeAlias = tuple[Tensor | None, Tensor | None]


class Recurrence(NamedTuple):
    """What the gates of all steps are computed from when they are computed again."""

    rows: Tensor  # input of all valid steps, (steps, input)
    states: Tensor  # h before each step, (steps, hidden)
    weight_ih: Tensor  # (gates*hidden, input)
    weight_hh: Tensor  # (gates*hidden, hidden)
    bias: Tensor | None  # (gates*hidden,)
    inner_bias: Tensor | None  # (hidden,)


def add_biases(bias_ih: Tensor, bias_hh: Tensor) -> Biases:
    """The bias that is added to the product of the input; and none inside a reset."""
    return bias_ih + bias_hh, None


def weight_gradients_of_gates(d_gates: Tensor, rows: Tensor, before: tuple[Tensor, ...], inner: Tensor) -> list[Tensor]:  # noqa: ARG001
    """Gradients of weight_ih and weight_hh."""
    return weight_gradients(d_gates, Factor((rows,)), Factor(before))


def bias_gradients_of_gates(d_gates: Tensor) -> Tensor:
    """Gradients of bias_ih and bias_hh, one after the other."""
    total = d_gates.sum(0)
    return torch.cat([total, total])


class FusedCell(NamedTuple):
    """The kernel of a cell, and what its products are made of."""

    kernel: Kernel
    num_blocks: int  # blocks of hidden columns in d_gates
    gates_again: Callable[[Recurrence], tuple[Tensor, Tensor | None]] | None = None  # and inner; None: h is the gate
    keeps_inner: bool = False  # saves a value beside the gates, (steps, hidden)
    needs_scratch: bool = False  # writes gates and inner even where nothing is saved
    biases: Callable[[Tensor, Tensor], Biases] = add_biases
    weight_gradients: Callable[[Tensor, Tensor, tuple[Tensor, ...], Tensor], list[Tensor]] = weight_gradients_of_gates
    row_gradient: Callable[[Tensor, Tensor], Tensor] = product
    bias_gradients: Callable[[Tensor], Tensor] = bias_gradients_of_gates

    @property
    def saves_gates(self) -> bool:
        """Whether gates are saved for the backward pass; else the output is all that it needs."""
        return self.gates_again is not None

    def scan_biases(self, bias_ih: Tensor | None, bias_hh: Tensor | None) -> Biases:
        """What is added to the product of the input; and inside a reset, to that of the state."""
        given = bias_ih if bias_ih is not None else bias_hh
        if given is None:
            return None, None
        return self.biases(
            torch.zeros_like(given) if bias_ih is None else bias_ih,
            torch.zeros_like(given) if bias_hh is None else bias_hh,
        )


def lstm_gates(given: Recurrence) -> tuple[Tensor, None]:
    """The activated gates i, f, g, o of all steps, (steps, 4*hidden)."""
    hidden = given.weight_hh.shape[1]
    gates = linear(given.rows, given.weight_ih, given.bias)  # (steps, 4*hidden)
    gates.add_(linear(given.states, given.weight_hh))
    gates[:, : 2 * hidden].sigmoid_()
    gates[:, 2 * hidden : 3 * hidden].tanh_()
    gates[:, 3 * hidden :].sigmoid_()
    return gates, None


def gru_gates(given: Recurrence) -> tuple[Tensor, Tensor]:
    """The activated gates r, z, n, and what the state brings to n before the reset, (steps, hidden)."""
    gates, r, n = reset_and_update(given)
    inner = linear(given.states, given.weight_hh[2 * n.shape[1] :], given.inner_bias)
    n.addcmul_(r, inner).tanh_()
    return gates, inner


def reset_before_gates(given: Recurrence) -> tuple[Tensor, Tensor]:
    """The activated gates r, z, n, and the state after the reset, (steps, hidden)."""
    gates, r, n = reset_and_update(given)
    inner = r * given.states
    n.add_(linear(inner, given.weight_hh[2 * n.shape[1] :])).tanh_()
    return gates, inner


def reset_and_update(given: Recurrence) -> tuple[Tensor, Tensor, Tensor]:
    """The gates with r and z activated; and r and the unfinished n in them, (steps, hidden) each."""
    hidden = given.weight_hh.shape[1]
    gates = linear(given.rows, given.weight_ih, given.bias)  # (steps, 3*hidden)
    r_z, n = gates.split([2 * hidden, hidden], 1)
    r_z.add_(linear(given.states, given.weight_hh[: 2 * hidden])).sigmoid_()
    return gates, r_z[:, :hidden], n


def gru_biases(bias_ih: Tensor, bias_hh: Tensor) -> Biases:
    """Both biases of r and z added up; b_hn stays inside the reset."""
    r_z = 2 * (len(bias_ih) // 3)
    return torch.cat([bias_ih[:r_z] + bias_hh[:r_z], bias_ih[r_z:]]), bias_hh[r_z:].contiguous()


def gru_weight_gradients(d_gates: Tensor, rows: Tensor, before: tuple[Tensor, ...], inner: Tensor) -> list[Tensor]:  # noqa: ARG001
    """Gradients of weight_ih and weight_hh from the blocks n of the input, r, z, n of the state."""
    hidden = before[0].shape[1]
    found = weight_gradients(d_gates, Factor((rows,), slice(3 * hidden)), Factor(before, slice(hidden, None)))
    return [found[0].roll(-hidden, 0), found[1]]


def gru_row_gradient(d_gates: Tensor, weight_ih: Tensor) -> Tensor:
    """Gradient of the input of all valid steps, (steps, input)."""
    hidden = len(weight_ih) // 3
    return product(d_gates[:, : 3 * hidden], weight_ih.roll(hidden, 0))


def gru_bias_gradients(d_gates: Tensor) -> Tensor:
    """Gradients of bias_ih and bias_hh, one after the other."""
    total = d_gates.sum(0)
    hidden = len(total) // 4
    return torch.cat([total[hidden : 3 * hidden], total[:hidden], total[hidden:]])


def reset_before_weight_gradients(
    d_gates: Tensor, rows: Tensor, before: tuple[Tensor, ...], inner: Tensor
) -> list[Tensor]:
    """Gradients of weight_ih and weight_hh, where n is multiplied with the state after the reset, `inner`."""
    hidden = before[0].shape[1]
    of_states, of_inner = Factor(before, slice(2 * hidden)), Factor((inner,), slice(2 * hidden, None))
    found = weight_gradients(d_gates, Factor((rows,)), of_states, of_inner)
    return [found[0], torch.cat(found[1:])]


RNN_TANH = FusedCell(Kernel.rnn_tanh, 1)
RNN_RELU = FusedCell(Kernel.rnn_relu, 1)
RNN_SIGMOID = FusedCell(Kernel.rnn_sigmoid, 1)
LSTM = FusedCell(Kernel.lstm, 4, lstm_gates)
GRU = FusedCell(
    Kernel.gru,
    4,
    gru_gates,
    keeps_inner=True,
    biases=gru_biases,
    weight_gradients=gru_weight_gradients,
    row_gradient=gru_row_gradient,
    bias_gradients=gru_bias_gradients,
)
GRU_RESET_BEFORE = FusedCell(
    Kernel.gru_reset_before,
    3,
    reset_before_gates,
    keeps_inner=True,
    needs_scratch=True,
    weight_gradients=reset_before_weight_gradients,
)
