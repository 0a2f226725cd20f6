"""Contiguous lanes of text: the batches of truncated backpropagation through time."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IGNORED = -1  # a target that is none


class Window(NamedTuple):
    """Some consecutive steps of every lane; the state of one window is where the next begins."""

    inputs: Tensor  # (time, batch)
    targets: Tensor  # (time, batch), IGNORED where a lane has ended


class Lanes:
    """A text cut into equally long lanes that are read side by side, window by window.

    Each token is a target exactly once, given the token before it; the very first is given `start`. Where the tokens
    do not fill all lanes the last ones end early. Nothing is copied before a window is asked for.

    Args:
        ids: token ids, (tokens,).
        num_lanes: how many lanes, the batch of each window.
        steps: length of a window.
        start: what stands before the first token.
    """

    def __init__(self, ids: NDArray[np.unsignedinteger], num_lanes: int, steps: int, start: int) -> None:
        assert len(ids) >= num_lanes > 0
        assert steps > 0
        self.ids, self.num_lanes, self.steps, self.start = ids, num_lanes, steps, start
        self.lane_length = -(-len(ids) // num_lanes)

    def __len__(self) -> int:
        """Windows in a pass."""
        return -(-self.lane_length // self.steps)

    def __iter__(self) -> Iterator[Window]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Window:
        first = index * self.steps
        steps = min(self.steps, self.lane_length - first)
        tokens = np.full((steps + 1, self.num_lanes), IGNORED, np.int64)
        for lane in range(self.num_lanes):
            begin = lane * self.lane_length + first - 1
            piece = self.ids[max(begin, 0) : begin + steps + 1]
            skip = max(-begin, 0)
            tokens[skip : skip + len(piece), lane] = piece
            tokens[:skip, lane] = self.start
        window = torch.from_numpy(tokens)
        return Window(window[:-1].clamp_min(0), window[1:])
