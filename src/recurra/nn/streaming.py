"""Recurrent layers one step at a time, from NumPy to NumPy: for data that comes as it happens."""

import copy
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from recurra.errors import ShapeError, UsageError
from recurra.nn.state import LayerState, Part, StateLayout
from recurra.ops.backends import Backend, choose_backend
from recurra.ops.cells import Cell, Weights
from recurra.ops.streaming import KernelStream

Array: TypeAlias = NDArray[Any]
ArrayPart: TypeAlias = Array | tuple[Array, ...]  # h or c of all layers, as `Part`


class Streamable(Protocol):
    """What a stream needs of a stack of layers."""

    cell: Cell
    input_size: int
    num_layers: int
    bidirectional: bool
    layout: StateLayout

    def weights_of(self, suffix: str) -> Weights:
        """Weights of one layer and direction."""

    def first_state(self, x: Tensor, training: bool) -> list[LayerState]:
        """State before the first step."""

    def run_layers(
        self,
        x: Tensor,
        states: Sequence[LayerState],
        lengths: Tensor | None,
        *,
        backend: Backend | None = None,
    ) -> tuple[list[Tensor], list[LayerState]]:
        """Outputs (time, batch, width) of the last layer, and all final states."""

    def eval(self) -> Any:
        """Turn dropout off."""

    def extra_repr(self) -> str:
        """The sizes and options."""


class Stream:
    """A recurrent layer step by step; made by `layer.stream()`.

    It holds a copy of the weights, packed for the kernels, and the state: later changes of the layer change nothing
    here. Dropout is off. On the kernels a step takes microseconds. The backend is the one chosen where the stream is
    made; no later choice changes it. One thread at a time may use a stream.

    Args:
        layer: the layer, of one direction.
        batch: sequences that run side by side; None for one, as vectors without a batch axis.

    Raises:
        UsageError: a bidirectional layer, whose other direction begins at the end; a batch below 1; or a backend is
            chosen that cannot run the layer.
    """

    def __init__(self, layer: Streamable, batch: int | None = None) -> None:
        if layer.bidirectional:
            raise UsageError("stream: a bidirectional layer begins at the end too, which a stream has not seen")
        if batch is not None and batch < 1:
            raise UsageError(f"stream batch: expected at least 1, or None for vectors, got {batch}")
        with torch.inference_mode(False), torch.no_grad():
            self._begin(layer, batch)

    def _begin(self, layer: Streamable, batch: int | None) -> None:
        weights = [layer.weights_of(f"_l{number}") for number in range(layer.num_layers)]
        self._input = weights[0]["weight_ih"].new_zeros(1, batch or 1, layer.input_size)
        self._dtype = np.float64 if self._input.dtype == torch.float64 else np.float32
        self._batch = () if batch is None else (batch,)
        self._first = [tuple(part.clone() for part in state) for state in layer.first_state(self._input, False)]
        self._input_shape = (*self._batch, layer.input_size)
        self._output_shape = (*self._batch, self._first[-1][0].shape[1])
        backends = {choose_backend(layer.cell, self._input, own) for own in weights}
        self._backend: Backend = backends.pop() if len(backends) == 1 else "steps"
        self._kernels = KernelStream(layer.cell, weights, self._first) if self._backend == "kernels" else None
        # The kernels need only the shape of the layer: its weights are packed.
        self._layer = layer if self._kernels else copy.deepcopy(layer)
        if not self._kernels:
            self._layer.eval()
        self._states: Sequence[LayerState] = self._kernels.states if self._kernels else self._first

    def step(self, x: ArrayLike) -> Array:
        """Take one step.

        Args:
            x: (input,), or (batch, input) where the stream has a batch.

        Returns:
            Output of the last layer, (hidden,) or (batch, hidden), in an array of its own.

        Raises:
            ShapeError: x of another shape.
        """
        x = np.ascontiguousarray(x, self._dtype)
        if x.shape != self._input_shape:
            raise ShapeError(f"stream step: expected {self._input_shape}, got {x.shape}")
        if self._kernels is None:
            return self._step_layer(x)
        y = np.empty(self._output_shape, self._dtype)
        self._kernels.stream.step(x, y, torch.get_num_threads())
        return y

    def reset(self) -> None:
        """Begin again, from the state that the layer begins with."""
        self._set(self._first)

    @property
    def state(self) -> ArrayPart | tuple[ArrayPart, ...]:
        """State after the last step, in the form in which the layer returns it, as NumPy arrays; may be set."""
        parts = [self._to_array(part) for part in self._layer.layout.write(self._states, not self._batch)]
        state: ArrayPart | tuple[ArrayPart, ...] = self._layer.layout.from_parts(tuple(parts))
        return state

    @state.setter
    def state(self, value: Any) -> None:
        with torch.inference_mode(False), torch.no_grad():
            parts = [self._to_tensor(part) for part in self._layer.layout.as_parts(value)]
            self._set(self._layer.layout.read(parts, self._input.shape[1], not self._batch))

    def __repr__(self) -> str:
        return f"Stream({type(self._layer).__name__}({self._layer.extra_repr()}), {self._backend})"

    def _set(self, states: Sequence[LayerState]) -> None:
        if self._kernels is None:
            self._states = states
            return
        for old, new in zip(self._states, states, strict=True):
            for place, part in zip(old, new, strict=True):
                place.copy_(part)

    def _step_layer(self, x: Array) -> Array:
        step = torch.from_numpy(x).to(self._input).view_as(self._input)
        with torch.inference_mode():
            outputs, self._states = self._layer.run_layers(step, self._states, None, backend=self._backend)
        array: Array = self._to_array(outputs[0]).reshape(self._output_shape)
        return array

    def _to_array(self, part: Part) -> Any:
        if isinstance(part, tuple):
            return tuple(self._to_array(tensor) for tensor in part)
        return part.detach().to("cpu", torch.float64).numpy().astype(self._dtype)

    def _to_tensor(self, part: Any) -> Part:
        if isinstance(part, tuple | list):
            return tuple(torch.as_tensor(array).detach().to(self._input, copy=True) for array in part)
        return torch.as_tensor(part).detach().to(self._input, copy=True)
