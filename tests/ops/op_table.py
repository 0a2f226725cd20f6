"""Every operator as one call from a tuple of states to a tuple of states, with random weights; no two sizes agree."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from recurra import ops
from recurra.ops import Weights

TIME, BATCH, INPUT, HIDDEN, PROJECTION = 5, 2, 3, 7, 4

State = tuple[Tensor, ...]


class Case(NamedTuple):
    call: Callable[..., tuple[Tensor, State]]
    gates: int
    parts: int
    projection: int | None = None

    def weights(self, seed: int = 0, inputs: int = INPUT, hidden: int = HIDDEN, bias: bool = True) -> Weights:
        generator = torch.Generator().manual_seed(seed)
        rows, recurrent = self.gates * hidden, self.projection or hidden

        def draw(*shape: int) -> Tensor:
            return (torch.randn(shape, generator=generator, dtype=torch.float64) / 2).requires_grad_()

        return Weights(
            draw(rows, inputs),
            draw(rows, recurrent),
            draw(rows) if bias else None,
            draw(rows) if bias else None,
            draw(self.projection, hidden) if self.projection else None,
        )

    def state(self, batch: int = BATCH, seed: int = 1, hidden: int = HIDDEN) -> State:
        generator = torch.Generator().manual_seed(seed)
        widths = (self.projection or hidden, hidden)[: self.parts]
        return tuple(
            torch.randn(batch, width, generator=generator, dtype=torch.float64).requires_grad_() for width in widths
        )


def sequence(time: int = TIME, batch: int = BATCH, inputs: int = INPUT, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(time, batch, inputs, generator=generator, dtype=torch.float64).requires_grad_()


def _one_part(call: Callable[..., tuple[Tensor, Tensor]], **options: object) -> Callable[..., tuple[Tensor, State]]:
    def run(x: Tensor, state: State, weights: Weights, **more: object) -> tuple[Tensor, State]:
        output, h_n = partial(call, **options)(x, state[0], weights, **more)
        return output, (h_n,)

    return run


CASES = {
    "rnn_tanh": Case(_one_part(ops.rnn), 1, 1),
    "rnn_relu": Case(_one_part(ops.rnn, nonlinearity="relu"), 1, 1),
    "rnn_sigmoid": Case(_one_part(ops.rnn, nonlinearity="sigmoid"), 1, 1),
    "lstm": Case(ops.lstm, 4, 2),
    "lstm_projected": Case(ops.lstm, 4, 2, PROJECTION),
    "gru": Case(_one_part(ops.gru), 3, 1),
    "gru_reset_before": Case(_one_part(ops.gru, reset_after=False), 3, 1),
}


def loss(output: Tensor, state: State, seed: int = 3) -> Tensor:
    """A loss in which every element of every result has its own weight."""
    generator = torch.Generator().manual_seed(seed)
    parts = [output, *state]
    draws = (torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in parts)
    return sum((part * draw.to(part.dtype)).sum() for part, draw in zip(parts, draws, strict=True))
