"""One layer, one direction, in plain torch operators that autograd differentiates, to any order and in any precision.

The input product of all steps is one matrix product; only what depends on the state before runs step by step, with as
few operators as the equations allow. Inside, the batch is the last axis, (gates*hidden, batch): a gate is then one
block of memory, and W h in this order is the product that BLAS runs faster for small batches. Padding is cut off at the
door, so it reaches neither a result nor a gradient.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.errors import UsageError
from recurra.lengths import check_lengths, valid_steps

NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
}


class Weights(NamedTuple):
    """Weights of one layer in one direction, in torch's layout and gate order.

    `recurrent` is the width of h: `hidden`, or `projection` where an LSTM has `weight_hr`.
    """

    weight_ih: Tensor  # (gates*hidden, input)
    weight_hh: Tensor  # (gates*hidden, recurrent)
    bias_ih: Tensor | None = None  # (gates*hidden,)
    bias_hh: Tensor | None = None  # (gates*hidden,)
    weight_hr: Tensor | None = None  # (projection, hidden)


def rnn(
    x: Tensor,
    h0: Tensor,
    weights: Weights,
    *,
    lengths: Tensor | None = None,
    reverse: bool = False,
    nonlinearity: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """One plain recurrent layer: h' = f(W_ih x + b_ih + W_hh h + b_hh).

    Args:
        x: input, (time, batch, input).
        h0: state before the first step, (batch, hidden).
        weights: weights of the layer, one gate.
        lengths: valid steps of each sequence, integer (batch,); None when all are.
        reverse: run from each sequence's last valid step to its first.
        nonlinearity: f, one of "tanh", "relu", "sigmoid".

    Returns:
        The state after every step, (time, batch, hidden), 0 in the padding; and after the last, (batch, hidden).

    Raises:
        ShapeError: lengths that do not belong to x.
        UsageError: an unknown nonlinearity.

    Source: Elman 1990; torch.nn.RNN for layout.
    """
    if nonlinearity not in NONLINEARITIES:
        raise UsageError(f"nonlinearity: expected one of {', '.join(NONLINEARITIES)}, got {nonlinearity!r}")
    activation = NONLINEARITIES[nonlinearity]

    def step(drive: Sequence[Tensor], state: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return (activation(torch.addmm(drive[0], weights.weight_hh, state[0])),)

    padding = _Padding.of(x, lengths)
    drives = _input_product(padding.cut(x), weights.weight_ih, _sum(weights.bias_ih, weights.bias_hh))
    output, (h_n,) = _scan(step, [drives], (h0,), padding, reverse)
    return output, h_n


def lstm(
    x: Tensor,
    state: tuple[Tensor, Tensor],
    weights: Weights,
    *,
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One LSTM layer, gates i, f, g, o: c' = f*c + i*g, h' = o*tanh(c'), projected where weight_hr is given.

    Args:
        x: input, (time, batch, input).
        state: h0 (batch, recurrent) and c0 (batch, hidden) before the first step.
        weights: weights of the layer, four gates.
        lengths: valid steps of each sequence, integer (batch,); None when all are.
        reverse: run from each sequence's last valid step to its first.

    Returns:
        h after every step, (time, batch, recurrent), 0 in the padding; and h, c after the last step.

    Raises:
        ShapeError: lengths that do not belong to x.

    Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000; Sak et al. 2014 for the projection.
    """

    def step(drive: Sequence[Tensor], state: Sequence[Tensor]) -> tuple[Tensor, ...]:
        h, c = state
        i, f, g, o = torch.addmm(drive[0], weights.weight_hh, h).chunk(4)  # (hidden, batch) each
        c = torch.addcmul(f.sigmoid() * c, i.sigmoid(), g.tanh())
        h = o.sigmoid() * c.tanh()
        return h if weights.weight_hr is None else weights.weight_hr.mm(h), c

    padding = _Padding.of(x, lengths)
    drives = _input_product(padding.cut(x), weights.weight_ih, _sum(weights.bias_ih, weights.bias_hh))
    output, (h_n, c_n) = _scan(step, [drives], state, padding, reverse)
    return output, (h_n, c_n)


def gru(
    x: Tensor,
    h0: Tensor,
    weights: Weights,
    *,
    lengths: Tensor | None = None,
    reverse: bool = False,
    reset_after: bool = True,
) -> tuple[Tensor, Tensor]:
    """One GRU layer, gates r, z, n: h' = (1-z)*n + z*h.

    With `reset_after` (torch, cuDNN) n = tanh(W_in x + b_in + r*(W_hn h + b_hn)); without it, as first published,
    n = tanh(W_in x + b_in + W_hn (r*h) + b_hn).

    Args:
        x: input, (time, batch, input).
        h0: state before the first step, (batch, hidden).
        weights: weights of the layer, three gates.
        lengths: valid steps of each sequence, integer (batch,); None when all are.
        reverse: run from each sequence's last valid step to its first.
        reset_after: where the reset gate stands.

    Returns:
        The state after every step, (time, batch, hidden), 0 in the padding; and after the last, (batch, hidden).

    Raises:
        ShapeError: lengths that do not belong to x.

    Source: Cho et al. 2014.
    """
    padding = _Padding.of(x, lengths)
    x = padding.cut(x)
    step, drives = (_reset_after if reset_after else _reset_before)(x, weights)
    output, (h_n,) = _scan(step, drives, (h0,), padding, reverse)
    return output, h_n


Step = Callable[[Sequence[Tensor], Sequence[Tensor]], tuple[Tensor, ...]]


def _reset_after(x: Tensor, weights: Weights) -> tuple[Step, list[Tensor]]:
    """The step of a GRU that resets after the matrix product, and what drives it.

    The drive of r and z takes both biases; n keeps b_hn apart, since r multiplies it, so it rides in the product.
    """
    hidden = weights.weight_hh.shape[1]
    splits = [2 * hidden, hidden]
    bias, inner = weights.bias_ih, x.new_zeros(hidden)
    if weights.bias_hh is not None:
        outer, inner = weights.bias_hh.split(splits)
        bias = _sum(bias, torch.cat([outer, torch.zeros_like(inner)]))
    gates, drive_n = _input_product(x, weights.weight_ih, bias).split(splits)
    gates = torch.cat([gates, inner[:, None, None].expand_as(drive_n)])  # (3*hidden, time, batch)

    def step(drive: Sequence[Tensor], state: Sequence[Tensor]) -> tuple[Tensor, ...]:
        r_z, n = torch.addmm(drive[0], weights.weight_hh, state[0]).split(splits)
        r, z = r_z.sigmoid().chunk(2)  # (hidden, batch) each
        n = torch.addcmul(drive[1], r, n).tanh()
        return (torch.lerp(n, state[0], z),)

    return step, [gates, drive_n]


def _reset_before(x: Tensor, weights: Weights) -> tuple[Step, list[Tensor]]:
    """The step of a GRU that resets before the matrix product, and what drives it."""
    hidden = weights.weight_hh.shape[1]
    splits = [2 * hidden, hidden]
    gates, inner = weights.weight_hh.split(splits)  # (2*hidden, hidden), (hidden, hidden)
    bias = _sum(weights.bias_ih, weights.bias_hh)

    def step(drive: Sequence[Tensor], state: Sequence[Tensor]) -> tuple[Tensor, ...]:
        h = state[0]
        r, z = torch.addmm(drive[0], gates, h).sigmoid().chunk(2)  # (hidden, batch) each
        n = torch.addmm(drive[1], inner, r * h).tanh()
        return (torch.lerp(n, h, z),)

    return step, list(_input_product(x, weights.weight_ih, bias).split(splits))


class _Padding(NamedTuple):
    """Which steps of a batch belong to its sequences."""

    valid: Tensor | None  # (time, batch, 1), None when all steps are
    shortest: int  # steps before this one are valid for all sequences
    longest: int  # steps from this one on are valid for none

    @classmethod
    def of(cls, x: Tensor, lengths: Tensor | None) -> "_Padding":
        time, batch = x.shape[:2]
        if lengths is None:
            return cls(None, time, time)
        check_lengths(lengths, time, batch)
        shortest, longest = (int(lengths.min()), int(lengths.max())) if batch else (time, time)
        if shortest == time:
            return cls(None, time, time)
        return cls(valid_steps(lengths.to(x.device), time).unsqueeze(2), shortest, longest)

    def cut(self, x: Tensor) -> Tensor:
        """Put 0 where the padding is; whatever stood there, NaN included, has no way on, forward or back."""
        return x if self.valid is None else torch.where(self.valid, x, 0.0)


def _sum(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    return left if right is None else right if left is None else left + right


def _input_product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """W x + b of all steps at once, (gates*hidden, time, batch)."""
    columns = x.reshape(-1, x.shape[2]).t()  # (input, time*batch)
    product = weight.mm(columns) if bias is None else torch.addmm(bias.unsqueeze(1), weight, columns)
    return product.view(weight.shape[0], *x.shape[:2])  # (gates*hidden, time, batch)


def _scan(
    step: Step, drives: Sequence[Tensor], state: Sequence[Tensor], padding: _Padding, reverse: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run `step` along time and collect the first part of the state.

    Args:
        step: from what drives it, each (gates*hidden, batch), and the state before, to the state after.
        drives: what the steps read, each (gates*hidden, time, batch).
        state: parts of the state before the first step, each (batch, hidden).
        padding: where the state must stand still.
        reverse: last step first.

    Returns:
        state[0] after every step, (time, batch, hidden), 0 in the padding; and all parts after the last step.
    """
    valid, shortest, longest = padding
    state = tuple(part.t() for part in state)  # (hidden, batch) each
    moments = list(zip(*(drive.unbind(1) for drive in drives), strict=True))
    outputs = [state[0]] * len(moments)
    for time in reversed(range(longest)) if reverse else range(longest):
        after = step(moments[time], state)
        if valid is not None and time >= shortest:
            here = valid[time].t()  # (1, batch)
            after = tuple(torch.where(here, new, old) for new, old in zip(after, state, strict=True))
        state = after
        outputs[time] = state[0]
    final = tuple(part.t().contiguous() for part in state)  # (batch, hidden) each
    if not outputs:
        return final[0].new_zeros(0, *final[0].shape), final
    output = torch.stack(outputs).transpose(1, 2).contiguous()  # (time, batch, hidden)
    return output if valid is None else torch.where(valid, output, 0.0), final
