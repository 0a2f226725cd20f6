"""The state of a stack: how users pass it, and how the layers read it.

With an integer hidden_size a part (h, or c) is one tensor (layers*directions, batch, width), as in torch.nn; with a
list of widths it is a tuple of one tensor (directions, batch, width) a layer. Inside, each layer and direction has its
own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from recurra.errors import ShapeError

Part: TypeAlias = Tensor | tuple[Tensor, ...]  # h or c of all layers, as users pass it
LayerState: TypeAlias = tuple[Tensor, ...]  # h, or h and c, of one layer and direction, (batch, width) each


@dataclass(frozen=True)
class StateLayout:
    """Sizes of the state of one stack.

    Args:
        cell: name of the cell, for messages.
        widths: for each part of the state, its name and its width in every layer.
        directions: 1 or 2.
        listed: users pass a tuple of one tensor a layer.
    """

    cell: str
    widths: dict[str, tuple[int, ...]]
    directions: int
    listed: bool

    def as_parts(self, state: Any) -> Sequence[Part]:
        """The parts of a state as users pass it: that of a cell with one part stands for itself."""
        return (state,) if len(self.widths) == 1 else state

    def from_parts(self, parts: tuple[Part, ...]) -> Any:
        """A state as users pass it; undoes `as_parts`."""
        return parts[0] if len(parts) == 1 else parts

    def layer_widths(self) -> list[tuple[int, ...]]:
        """Widths of the parts for every layer and direction, in the order in which the stack runs them."""
        layers = zip(*self.widths.values(), strict=True)
        return [widths for widths in layers for _ in range(self.directions)]

    def read(self, hx: Sequence[Part], batch: int, unbatched: bool) -> list[LayerState]:
        """Give every layer and direction its own state.

        Args:
            hx: the parts as the user passed them.
            batch: sequences in the batch.
            unbatched: the parts have no batch axis.

        Returns:
            The state of each layer and direction.

        Raises:
            ShapeError: a part that is missing, or whose shape does not fit.
        """
        names = ", ".join(f"{name}_0" for name in self.widths)
        if isinstance(hx, Tensor) or len(hx) != len(self.widths):
            got = f"one tensor {tuple(hx.shape)}" if isinstance(hx, Tensor) else f"{len(hx)} parts"
            raise ShapeError(f"{self.cell} hx: expected ({names}), got {got}")
        columns = []
        for (name, widths), part in zip(self.widths.items(), hx, strict=True):
            columns.append(self._read_part(f"{self.cell} hx: {name}_0", part, widths, batch, unbatched))
        return list(zip(*columns, strict=True))

    def _read_part(self, where: str, part: Part, widths: Sequence[int], batch: int, unbatched: bool) -> list[Tensor]:
        middle = () if unbatched else (batch,)
        if self.listed:
            if isinstance(part, Tensor) or len(part) != len(widths):
                got = f"one of shape {tuple(part.shape)}" if isinstance(part, Tensor) else f"{len(part)}"
                raise ShapeError(f"{where}: expected a tuple of {len(widths)} tensors, one a layer, got {got}")
            for layer, (tensor, width) in enumerate(zip(part, widths, strict=True)):
                _check(f"{where}[{layer}]", "directions", tensor, (self.directions, *middle, width))
            tensors = [direction for tensor in part for direction in tensor.unbind(0)]
        else:
            if not isinstance(part, Tensor):
                raise ShapeError(f"{where}: expected one tensor, got {type(part).__name__}")
            _check(where, "layers*directions", part, (len(widths) * self.directions, *middle, widths[0]))
            tensors = list(part.unbind(0))
        return [tensor.unsqueeze(0) for tensor in tensors] if unbatched else tensors

    def write(self, states: Sequence[LayerState], unbatched: bool) -> tuple[Part, ...]:
        """Give the state of all layers and directions the form in which users pass it; undoes `read`."""
        return tuple(self._write_part([state[part] for state in states], unbatched) for part in range(len(self.widths)))

    def _write_part(self, tensors: Sequence[Tensor], unbatched: bool) -> Part:
        if unbatched:
            tensors = [tensor.squeeze(0) for tensor in tensors]
        if len(tensors) == 1 and not self.listed:
            return tensors[0].unsqueeze(0)  # as stacking, without a copy
        if not self.listed:
            return torch.stack(list(tensors))  # (layers*directions, batch, width)
        starts = range(0, len(tensors), self.directions)
        return tuple(torch.stack(list(tensors[start : start + self.directions])) for start in starts)


def _check(where: str, first: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != expected:
        axes = f"({first}, batch, width)" if len(expected) == 3 else f"({first}, width)"
        raise ShapeError(f"{where}: expected {axes} = {expected}, got {tuple(tensor.shape)}")
