"""Recurrent layers as functions on tensors: one layer, one direction, time-major.

All else in the house calls these; which code runs behind them is decided here alone: the fused kernels where they can,
the composed operators elsewhere, or as the user chooses.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import Tensor

from recurra.errors import UsageError
from recurra.ops import composed, fused
from recurra.ops.composed import Weights
from recurra.ops.instructions import kernels_in_use
from recurra.ops.scan import KINDS

Path = Literal["fused", "composed"]
PATH = "RECURRA_PATH"  # environment variable that names a path for all calls
_chosen: list[Path] = []  # by `use_path`, the innermost last; a plain list, which torch.compile understands


@contextmanager
def use_path(path: Path) -> Iterator[None]:
    """Take a path for all layers called inside, by any thread.

    Args:
        path: "fused" fails where the kernels cannot, "composed" always works.
    """
    if path not in ("fused", "composed"):
        raise UsageError(f"path: expected fused or composed, got {path!r}")
    _chosen.append(path)
    try:
        yield
    finally:
        _chosen.pop()


def explain(x: Tensor, weights: Weights) -> str:
    """The path of a call, and why."""
    if choose(x, weights) == "fused":
        return f"fused, kernels for {kernels_in_use().name}"
    return f"composed, {fused.why_not(x, weights) or 'asked for'}"


def choose(x: Tensor, weights: Weights) -> Path:
    """The path of a call.

    Raises:
        UsageError: the fused path is asked for and cannot be taken.
    """
    asked = _chosen[-1] if _chosen else os.environ.get(PATH)
    if asked not in (None, "", "fused", "composed"):
        raise UsageError(f"{PATH}: expected fused or composed, got {asked!r}")
    if asked == "composed":
        return "composed"
    reason = fused.why_not(x, weights)
    if reason and asked == "fused":
        raise UsageError(f"fused path: {reason}; leave the choice open, or take the composed path")
    return "composed" if reason else "fused"


def rnn(
    x: Tensor,
    h0: Tensor,
    weights: Weights,
    *,
    lengths: Tensor | None = None,
    reverse: bool = False,
    nonlinearity: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """One plain recurrent layer; see `composed.rnn`. It keeps its states for the way back, and nothing else."""
    kind = f"rnn_{nonlinearity}"
    if kind not in KINDS or choose(x, weights) == "composed":
        return composed.rnn(x, h0, weights, lengths=lengths, reverse=reverse, nonlinearity=nonlinearity)
    output, (h_n,) = fused.run(kind, x, (h0,), weights, lengths, reverse, False)
    return output, h_n


def lstm(
    x: Tensor,
    state: tuple[Tensor, Tensor],
    weights: Weights,
    *,
    lengths: Tensor | None = None,
    reverse: bool = False,
    recompute: bool = False,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One LSTM layer; see `composed.lstm`. With `recompute` the fused path keeps h and c for the way back, no gates."""
    if choose(x, weights) == "composed":
        return composed.lstm(x, state, weights, lengths=lengths, reverse=reverse)
    output, (h_n, c_n) = fused.run("lstm", x, state, weights, lengths, reverse, recompute)
    return output, (h_n, c_n)


def gru(
    x: Tensor,
    h0: Tensor,
    weights: Weights,
    *,
    lengths: Tensor | None = None,
    reverse: bool = False,
    reset_after: bool = True,
    recompute: bool = False,
) -> tuple[Tensor, Tensor]:
    """One GRU layer; see `composed.gru`. With `recompute` the fused path keeps h for the way back, no gates."""
    if choose(x, weights) == "composed":
        return composed.gru(x, h0, weights, lengths=lengths, reverse=reverse, reset_after=reset_after)
    kind = "gru" if reset_after else "gru_reset_before"
    output, (h_n,) = fused.run(kind, x, (h0,), weights, lengths, reverse, recompute)
    return output, h_n


__all__ = ["Weights", "choose", "explain", "gru", "lstm", "rnn", "use_path"]
