"""Gaps in series: cells without a value are filled in, and what was known at each step is kept."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recurra.errors import DataError


def latest_values(is_empty: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The last step with a value up to each step; before there is one, the first step with a value, (steps, columns).

    No column is empty throughout.
    """
    latest = np.maximum.accumulate(np.where(is_empty, -1, np.arange(len(is_empty))[:, None]))
    return np.where(latest < 0, is_empty.argmin(0), latest)


def fill(data: NDArray[np.float64], positions: NDArray[np.int64], method: str, names: Sequence[str]) -> int:
    """Fill each NaN in place: with the value before it, or by interpolation, at the ends with the nearest value.

    Args:
        data: (steps, columns), named by `names`.
        positions: of the steps in time, (steps,).
        method: "forward" or "interpolate".
        names: of the columns, for messages.

    Returns:
        how many cells were filled in.

    Raises:
        DataError: an empty column, or nothing to carry forward.
    """
    is_empty = np.isnan(data)
    for column, empty, name in zip(data.T, is_empty.T, names, strict=True):
        known = np.flatnonzero(~empty)
        if not len(known):
            raise DataError(f"{name} is empty throughout; leave the column or the series out")
        if empty[0] and method == "forward":
            raise DataError(f"{name} begins empty, with nothing to carry forward; cut that off, or interpolate")
        if method == "forward":
            column[:] = column[known[np.searchsorted(known, np.arange(len(column)), "right") - 1]]
        else:
            column[empty] = np.interp(positions[empty], positions[known], column[known])
    return int(is_empty.sum())
