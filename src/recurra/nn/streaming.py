"""Recurrent layers one step at a time, from NumPy to NumPy: for data that comes as it happens."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from recurra import ops
from recurra.errors import ShapeError, UsageError
from recurra.nn.state import Part, Slot
from recurra.ops.streaming import FusedSteps

if TYPE_CHECKING:
    from recurra.nn.recurrent import Recurrent

Array: TypeAlias = NDArray[Any]
ArrayPart: TypeAlias = Array | tuple[Array, ...]  # h or c of all layers, as `Part`


class Stream:
    """The steps of a recurrent layer as they come; made by `layer.stream()`.

    It owns a copy of the weights, packed for the kernels, and the state: later changes of the layer change nothing
    here. Dropout is off. On the fused path a step costs microseconds. One thread at a time may use it.

    Args:
        layer: the layer, of one direction.
        batch: sequences that go on side by side; None for one, as vectors without a batch axis.

    Raises:
        UsageError: a bidirectional layer, whose other direction begins at the end; or a batch below 1.
    """

    def __init__(self, layer: Recurrent, batch: int | None = None) -> None:
        if layer.bidirectional:
            raise UsageError("stream: a bidirectional layer begins at the end too, which a stream has not seen")
        if batch is not None and batch < 1:
            raise UsageError(f"stream batch: expected at least 1, or None for vectors, got {batch}")
        with torch.inference_mode(False), torch.no_grad():
            self._begin(layer, batch)

    def _begin(self, layer: Recurrent, batch: int | None) -> None:
        weights = [layer.weights_of(f"_l{number}") for number in range(layer.num_layers)]
        self._input = weights[0].weight_ih.new_zeros(1, batch or 1, layer.input_size)
        self._dtype = np.float64 if self._input.dtype == torch.float64 else np.float32
        self._batch = () if batch is None else (batch,)
        self._first = [tuple(part.clone() for part in slot) for slot in layer.first_state(self._input, False)]
        self._input_shape = (*self._batch, layer.input_size)
        self._output_shape = (*self._batch, self._first[-1][0].shape[1])
        is_fused = {ops.choose(self._input, part) for part in weights} == {"fused"}
        self._steps = FusedSteps(layer.kind, weights, self._first) if is_fused else None
        # Of the layer the fused path needs the shape alone: its weights are packed.
        self._layer = layer if is_fused else copy.deepcopy(layer).eval()
        self._slots: Sequence[Slot] = self._steps.slots if self._steps else self._first

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
        if self._steps is None:
            return self._step_composed(x)
        y = np.empty(self._output_shape, self._dtype)
        self._steps.stream.step(x, y, torch.get_num_threads())
        return y

    def reset(self) -> None:
        """Begin again, from the state that the layer begins with."""
        self._set(self._first)

    @property
    def state(self) -> ArrayPart | tuple[ArrayPart, ...]:
        """State after the last step, in the form in which the layer returns it, as NumPy arrays; may be set."""
        parts = [self._to_array(part) for part in self._layer.layout.write(self._slots, not self._batch)]
        return tuple(parts) if len(parts) > 1 else parts[0]

    @state.setter
    def state(self, value: Any) -> None:
        with torch.inference_mode(False), torch.no_grad():
            parts = [self._to_tensor(part) for part in (value if len(self._layer.parts) > 1 else (value,))]
            self._set(self._layer.layout.read(parts, self._input.shape[1], not self._batch))

    def __repr__(self) -> str:
        path = "fused" if self._steps else "composed"
        return f"Stream({type(self._layer).__name__}({self._layer.extra_repr()}), {path})"

    def _set(self, slots: Sequence[Slot]) -> None:
        if self._steps is None:
            self._slots = slots
            return
        for old, new in zip(self._slots, slots, strict=True):
            for place, part in zip(old, new, strict=True):
                place.copy_(part)

    def _step_composed(self, x: Array) -> Array:
        step = torch.from_numpy(x).to(self._input).view_as(self._input)
        with torch.inference_mode(), ops.use_path("composed"):
            outputs, self._slots = self._layer.run_layers(step, self._slots, None)
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
