"""Large matrix products, by the faster of torch's libraries.

Measured on AVX-512 (docs/performance.md): oneDNN's product runs 10 to 40 % faster than that of the BLAS, most where a
width is no multiple of 16, once it is large enough to pay for its preparation. Torch offers it as the linear layer of
its own compiler.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from recurra.ops.instructions import kernels_in_use
from recurra.ops.torch_private import is_onednn_enabled, onednn_linear

LARGE = 2e7  # operations


def product(left: Tensor, right: Tensor) -> Tensor:
    """left (n, k) times right (k, m); no part of an autograd graph.

    Args:
        left: contiguous, else it is copied.
        right: of any strides.
    """
    return linear(left, right.t())


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (n, k) times weight (m, k) transposed, plus bias (m,); no part of an autograd graph."""
    if takes_onednn(x, weight):
        return onednn_linear(x, weight, bias)
    return x.mm(weight.t()) if bias is None else torch.addmm(bias, x, weight.t())


class Factor(NamedTuple):
    """What a weight was multiplied with in all steps, and in which gates."""

    pieces: tuple[Tensor, ...]  # (steps, columns) in all, one after the other
    gates: slice = slice(None)  # columns of d_gates


def weight_gradients(d_gates: Tensor, *factors: Factor) -> list[Tensor]:
    """What the gradient of the gates of all steps means for weights: d_gates transposed times each factor.

    One side of a large product has to be turned first. That of all factors is the smaller one for many steps, but the
    result must be turned back.

    Args:
        d_gates: (steps, gates); of any strides.
        factors: one for each weight.

    Returns:
        The gradient of each weight, (gates of the factor, columns).
    """
    steps, rows = d_gates.shape
    widths = [factor.pieces[0].shape[1] for factor in factors]
    if d_gates.dtype != torch.float32 or not is_large(steps * rows * sum(widths)):
        return [d_gates[:, factor.gates].t().mm(whole(factor.pieces)) for factor in factors]
    copied = sum(width for width, factor in zip(widths, factors, strict=True) if len(factor.pieces) > 1)
    takes_all = is_dense(d_gates) and all(factor.gates == slice(None) for factor in factors)
    if takes_all and (steps + rows) * sum(widths) < steps * (rows + copied):
        columns = d_gates.new_empty(sum(widths), steps)
        for part, factor in zip(columns.split(widths), factors, strict=True):
            for place, piece in zip(part.split([len(p) for p in factor.pieces], 1), factor.pieces, strict=True):
                transpose(piece.contiguous(), place)
        return [transposed(part) for part in product(columns, d_gates).split(widths)]
    turned = transposed(d_gates)  # (gates, steps)
    return [product(turned[factor.gates], whole(factor.pieces)) for factor in factors]


def whole(pieces: tuple[Tensor, ...]) -> Tensor:
    """Pieces one after the other."""
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def runs_kernels(x: Tensor) -> bool:
    """Whether the kernels compute in the type of x, where it is."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def transposed(matrix: Tensor) -> Tensor:
    """The transpose of a matrix (n, m) in memory of its own."""
    return transpose(matrix, matrix.new_empty(matrix.shape[::-1])) if runs_kernels(matrix) else matrix.t().contiguous()


def transpose(matrix: Tensor, to: Tensor) -> Tensor:
    """Write matrix (n, m) transposed into `to` (m, n), and return that; the rows of both are without gaps inside."""
    assert matrix.stride(1) == to.stride(1) == 1 or not matrix.numel()
    (rows, columns), is_double = matrix.shape, matrix.dtype == torch.float64
    source, target = (matrix.data_ptr(), matrix.stride(0)), (to.data_ptr(), to.stride(0))
    kernels_in_use().transpose(is_double, rows, columns, *source, *target, torch.get_num_threads())
    return to


def is_large(multiplications: int) -> bool:
    """Whether a product is worth preparing for."""
    return 2 * multiplications > LARGE


def takes_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN computes x (n, k) times weight (m, k) transposed."""
    is_ours = x.dtype == torch.float32 and x.device.type == "cpu" and is_dense(weight)
    return is_large(x.shape[0] * x.shape[1] * weight.shape[0]) and is_ours and is_onednn_enabled()


def is_dense(matrix: Tensor) -> bool:
    """Whether a matrix or its transpose lies without gaps: for others oneDNN has plain loops only, slower by far."""
    return matrix.is_contiguous() or matrix.t().is_contiguous()
