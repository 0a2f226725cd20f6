"""Every cell as a layer, read from its record, with random weights; no two sizes agree."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from recurra.ops.backends import run_layer
from recurra.ops.cells import CELLS, Cell, Sizes, State, Weights

TIME, BATCH, INPUT, HIDDEN, PROJECTION = 5, 2, 3, 7, 4


@dataclass(frozen=True)
class Case:
    """A cell, with a projection or without."""

    cell: Cell
    projection: int = 0

    def call(
        self, x: Tensor, state: State, weights: Weights, *, lengths: Tensor | None = None, **options: bool
    ) -> tuple[Tensor, State]:
        return run_layer(self.cell, x, state, weights, lengths, **options)

    def sizes(self, inputs: int = INPUT, hidden: int = HIDDEN, bias: bool = True) -> Sizes:
        return Sizes(inputs, hidden, self.projection, bias)

    def weights(self, seed: int = 0, **sizes: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        shapes = self.cell.weight_shapes(self.sizes(**sizes))
        return {
            name: (torch.randn(shape, generator=generator, dtype=torch.float64) / 2).requires_grad_()
            for name, shape in shapes.items()
        }

    def state(self, batch: int = BATCH, seed: int = 1, hidden: int = HIDDEN) -> State:
        generator = torch.Generator().manual_seed(seed)
        widths = self.cell.state_widths(self.sizes(hidden=hidden)).values()
        return tuple(
            torch.randn(batch, width, generator=generator, dtype=torch.float64).requires_grad_() for width in widths
        )

    def projected(self, width: int) -> "Case":
        return replace(self, projection=width)


def sequence(time: int = TIME, batch: int = BATCH, inputs: int = INPUT, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(time, batch, inputs, generator=generator, dtype=torch.float64).requires_grad_()


CASES = {name: Case(cell) for name, cell in CELLS.items()} | {"lstm_projected": Case(CELLS["lstm"], PROJECTION)}
FUSED = [name for name, cell in CELLS.items() if cell.fused]
IN_TORCH = [name for name, case in CASES.items() if case.cell.torch_operator]


def loss(output: Tensor, state: State, seed: int = 3) -> Tensor:
    """A loss in which every element of every result has its own weight."""
    generator = torch.Generator().manual_seed(seed)
    parts = [output, *state]
    draws = (torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in parts)
    return sum((part * draw.to(part.dtype)).sum() for part, draw in zip(parts, draws, strict=True))
