"""Arrays of integers that point into a table: class targets and token ids."""

import numpy as np

from recurra.errors import UsageError
from recurra.reference.shapes import Integers


def check_indices(what: str, indices: Integers, size: int) -> None:
    """Refuse an array that does not point into a table of `size` rows.

    Args:
        what: the array's place, as the message names it.
        indices: integers of any shape.
        size: rows of the table.

    Raises:
        UsageError: not a NumPy array of integers, or a value outside 0..size-1.
    """
    if not isinstance(indices, np.ndarray) or not np.issubdtype(indices.dtype, np.integer):
        kind = str(indices.dtype) if isinstance(indices, np.ndarray) else type(indices).__name__
        raise UsageError(f"{what}: expected an array of integers, got {kind}")
    if indices.size and not (indices.min() >= 0 and indices.max() < size):
        raise UsageError(f"{what}: expected values in 0..{size - 1}, got {indices.min()}..{indices.max()}")
