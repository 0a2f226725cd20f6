"""Tables of hours for the tests of forecasting."""

from pathlib import Path
from typing import Any

import numpy as np

DATA = {"target": ["y"], "context": 9, "horizon": 4}


def write(path: Path, columns: dict[str, Any], first: str = "2020-01-01") -> Path:
    """A table of hours."""
    steps = len(next(iter(columns.values())))
    times = np.datetime64(first, "s") + np.arange(steps) * np.timedelta64(1, "h")
    rows = [",".join(map(str, row)) for row in zip(times, *columns.values(), strict=True)]
    path.write_text("\n".join([",".join(["time", *columns]), *rows]) + "\n")
    return path


def noise(*shape: int, seed: int = 3) -> np.ndarray:
    """Normal numbers."""
    return np.random.default_rng(seed).normal(size=shape)


def write_four(folder: Path) -> Path:
    """Two targets, a column of the past, a column known beforehand."""
    values = noise(160, 4) * [3, 0.01, 1, 2] + [40, -5, 0, 1]
    return write(folder / "table.csv", dict(zip(("y", "z", "past", "known"), values.T, strict=True)))
