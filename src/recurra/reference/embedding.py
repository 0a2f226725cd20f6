"""The embedding: rows of a table picked by id, and the gradient that adds up where an id repeats.

V ids in the vocabulary, E embedding size.
"""

from typing import NamedTuple

import numpy as np

from recurra.reference.indices import check_indices
from recurra.reference.shapes import Array, Integers, check_shape


class EmbeddingCache(NamedTuple):
    """What the forward pass keeps: the ids and the table's shape."""

    ids: Integers  # (...)
    table_shape: tuple[int, int]  # (V, E)


def embedding_forward(ids: Integers, table: Array) -> tuple[Array, EmbeddingCache]:
    """The row of each id.

    Args:
        ids: integers in 0..vocabulary-1, (...).
        table: one row an id, (vocabulary, embedding).

    Returns:
        vectors (..., embedding), and the cache for `embedding_backward`.

    Raises:
        ShapeError: the table is not a matrix.
        UsageError: ids that are no integers or outside the table; a table that is not float64.

    Source: docs/equations.md, Embedding.
    """
    check_shape("embedding table", table, ("vocabulary", "embedding"))
    check_indices("embedding ids", ids, table.shape[0])
    return table[ids], EmbeddingCache(ids, table.shape)


def embedding_backward(d_vectors: Array, cache: EmbeddingCache) -> Array:
    """Gradient at the table: each row gathers the gradients of all places where its id stood.

    Args:
        d_vectors: loss gradient at the vectors, (..., embedding).
        cache: what `embedding_forward` returned; left untouched.

    Returns:
        d_table (vocabulary, embedding); zero rows for ids that did not occur. Ids have no gradient.

    Raises:
        ShapeError: d_vectors does not belong to the cached forward pass.

    Source: docs/equations.md, Embedding.
    """
    ids, table_shape = cache
    check_shape("embedding d_vectors", d_vectors, (*ids.shape, table_shape[1]), "the shape of the vectors")
    d_table = np.zeros(table_shape)
    np.add.at(d_table, ids, d_vectors)  # unlike d_table[ids] += ..., counts a repeated id every time
    return d_table
