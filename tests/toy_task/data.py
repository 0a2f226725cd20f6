"""Lines of numbers, and what is learned from them before training."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from recurra.config import Section
from recurra.errors import DataError
from recurra.tasks.task import digest_of

Line = NDArray[np.float32]  # numbers, (time,)


class LineOptions(Section):
    """The `[data]` section."""

    path: str = Field(description="a file with numbers between spaces, a line an example")
    skip: int = Field(0, ge=0, description="lines to leave out at the start")


class Scale(NamedTuple):
    """Mean and standard deviation of the training sums."""

    mean: float
    std: float

    @classmethod
    def fit(cls, train: Sequence[Line]) -> "Scale":
        sums = [float(line.sum()) for line in train]
        return cls(float(np.mean(sums)), float(np.std(sums)))

    def values(self) -> dict[str, Any]:
        return {"mean": self.mean}

    def files(self) -> Mapping[str, str]:
        return {"std.txt": str(self.std)}

    @classmethod
    def load(cls, values: dict[str, Any], read: Callable[[str], str], recipe: Any) -> "Scale":  # noqa: ARG003
        return cls(values["mean"], float(read("std.txt")))


class Encoded(NamedTuple):
    """Lines as the model reads them."""

    lines: list[Line]
    targets: NDArray[np.float32]  # sums in training deviations, (lines,)

    @property
    def digest(self) -> str:
        return digest_of(self.lines, self.targets)


class Batch(NamedTuple):
    """Some lines side by side."""

    inputs: Tensor  # (time, batch, 1)
    lengths: Tensor  # (batch,)
    targets: Tensor  # (batch,)


def read_lines(path: str, skip: int = 0) -> list[Line]:
    """All lines of a file."""
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file")
    found = []
    for number, text in enumerate(Path(path).read_text().splitlines(), 1):
        try:
            found.append(np.array([float(word) for word in text.split()], np.float32))
        except ValueError:
            raise DataError(f"{path} line {number}: expected numbers between spaces, got {text!r}") from None
    return found[skip:]


def collate(encoded: Encoded, indices: Sequence[int]) -> Batch:
    """Some lines side by side, padded with 0."""
    lines = [torch.from_numpy(encoded.lines[index]) for index in indices]
    inputs = torch.nn.utils.rnn.pad_sequence(lines).unsqueeze(2)
    targets = torch.from_numpy(encoded.targets[list(indices)])
    return Batch(inputs, torch.tensor([len(line) for line in lines]), targets)
