"""Which code runs a layer: the fused C++ kernels, torch's own recurrent operators, or a step at a time.

All three keep one contract, so results differ by rounding alone. By itself a layer runs on the kernels where they can
run it, and step by step elsewhere.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, TypeAlias, get_args

from torch import Tensor

from recurra.errors import UsageError
from recurra.ops.cells import Cell, State, Weights
from recurra.ops.fused import run_kernels, why_not_kernels
from recurra.ops.instructions import kernels_in_use
from recurra.ops.steps import run_steps
from recurra.ops.torch_layers import run_torch, why_not_torch
from recurra.ops.torch_private import constant_when_compiled

Backend: TypeAlias = Literal["kernels", "torch", "steps"]
BACKEND = "RECURRA_BACKEND"  # environment variable that names a backend for all calls

_chosen: ContextVar[Backend | None] = ContextVar("backend", default=None)


@contextmanager
def use_backend(backend: Backend) -> Iterator[None]:
    """Run all recurrent layers called inside on one backend.

    It is a context variable: other threads, and other asynchronous tasks, are not affected. A function that
    torch.compile has compiled keeps the backend that was chosen when it was compiled.

    Args:
        backend: "kernels", the fused C++ kernels; "torch", torch's own recurrent operators; "steps", one step at a time
            in torch's operators, which always works. A layer that the other two cannot run is an error.

    Raises:
        UsageError: no such backend.
    """
    token = _chosen.set(check_backend(backend, "backend"))
    try:
        yield
    finally:
        _chosen.reset(token)


def check_backend(name: str, where: str) -> Backend:
    """A name as a backend.

    Raises:
        UsageError: no such backend.
    """
    for backend in get_args(Backend):
        if name == backend:
            return backend  # type: ignore[no-any-return]
    raise UsageError(f"{where}: expected kernels, torch or steps, got {name!r}")


@constant_when_compiled
def requested_backend() -> Backend | None:
    """The backend chosen by `use_backend`, or else by the environment; None where nothing is chosen.

    Raises:
        UsageError: the environment names no backend.
    """
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    named = os.environ.get(BACKEND)
    return check_backend(named, BACKEND) if named else None


def choose_backend(cell: Cell, x: Tensor, weights: Weights) -> Backend:
    """The backend that runs a layer.

    Raises:
        UsageError: a backend is chosen that cannot run it.
    """
    requested = requested_backend()
    if requested == "steps":
        return requested
    reason = why_not_torch(cell) if requested == "torch" else why_not_kernels(cell, x, weights)
    if reason and requested:
        raise UsageError(f"backend {requested}: {reason}; choose another backend, or none")
    return requested or ("steps" if reason else "kernels")


def explain_backend(cell: Cell, x: Tensor, weights: Weights) -> str:
    """The backend that runs a layer, and why."""
    backend = choose_backend(cell, x, weights)
    if backend == "kernels":
        return f"kernels, compiled for {kernels_in_use().name}"
    return f"{backend}, {'chosen' if requested_backend() else why_not_kernels(cell, x, weights)}"


def run_layer(
    cell: Cell,
    x: Tensor,
    state: State,
    weights: Weights,
    lengths: Tensor | None = None,
    *,
    reverse: bool = False,
    recompute: bool = False,
    backend: Backend | None = None,
) -> tuple[Tensor, State]:
    """One layer in one direction.

    Args:
        cell: which.
        x: input, (time, batch, input).
        state: its parts before the first step, each (batch, width).
        weights: by name, as the record of the cell lists them; biases may be left out.
        lengths: valid steps of each sequence, integer (batch,), 0 allowed; None when all are.
        reverse: run from each sequence's last valid step to its first.
        recompute: on the kernels keep no gates for the backward pass, but compute them again there.
        backend: which code runs it, which must be able to; None: as `choose_backend` says.

    Returns:
        The first part of the state after every step, (time, batch, width), 0 in the padding; and all parts after each
        sequence's last step.

    Raises:
        ShapeError: lengths that do not belong to x; on the kernels, tensors that do not fit each other.
        UsageError: a backend is chosen that cannot run the layer.
    """
    if backend is None:
        backend = choose_backend(cell, x, weights)
    if backend == "kernels":
        return run_kernels(cell, x, state, weights, lengths, reverse, recompute)
    run = run_torch if backend == "torch" else run_steps
    return run(cell, x, state, weights, lengths, reverse)
