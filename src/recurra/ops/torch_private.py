"""The functions of torch that are used here although torch does not document them, each with the reason.

They may change with any version of torch, so nothing else in the package may name one. Torch 2.13 has them all;
`tests/ops/test_torch_private.py` fails by name where a later version lacks one.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

KNOWN_TO_WORK = ("2.13",)  # versions of torch that all tests have passed with

Function = TypeVar("Function", bound=Callable[..., object])


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x (n, k) times weight (m, k) transposed, plus bias (m,), by oneDNN.

    The public linear layer calls the BLAS for float32; torch offers oneDNN's faster product to its own compiler only.
    """
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def is_onednn_enabled() -> bool:
    """Whether torch was built with oneDNN and may use it; `torch.backends.mkldnn.flags` is for setting only."""
    return torch.backends.mkldnn.is_available() and torch._C._get_mkldnn_enabled()


def is_recorded() -> bool:
    """Whether operators are being recorded, by the tracer of torch.jit or by a dispatch mode such as make_fx.

    The kernels must then be called as an operator, since a recording sees nothing else. No public function tells.
    """
    return torch._C._get_tracing_state() is not None or torch._C._len_torch_dispatch_stack() > 0


def is_transformed() -> bool:
    """Whether a transform of torch.func or forward-mode differentiation is under way.

    The kernels have no rule for either, and both would fail inside with a message about addresses.
    """
    return forward_ad._current_level >= 0 or torch._C._functorch.peek_interpreter_stack() is not None


def is_batched(x: Tensor) -> bool:
    """Whether torch.func.vmap, or autograd with is_grads_batched, has put a hidden batch axis on a tensor.

    Such a tensor must not be multiplied into one without that axis in place.
    """
    return torch._C._functorch.is_batchedtensor(x)


def keeps_graph() -> bool:
    """Whether the backward pass under way was called with retain_graph=True, so that it may run again.

    Gradients that were computed in the forward pass may be overwritten only in the last backward pass.
    """
    return torch._C._autograd._get_current_graph_task_keep_graph()


def constant_when_compiled(function: Function) -> Function:
    """Let torch.compile call a function while it compiles and keep the result, instead of tracing it.

    As torch.compiler.assume_constant_result, which imports the compiler at once: a second for all who never compile.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def lerp_all_(tensors: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> None:
    """Move each tensor towards its end by a share, in place: a few kernels in all instead of one for each tensor.

    torch.optim has the same inside, but no public function does.
    """
    torch._foreach_lerp_(list(tensors), list(ends), weight)


def multiply_all_(tensors: Sequence[Tensor], factor: float | Tensor) -> None:
    """Multiply each tensor by a factor, in place, as `lerp_all_` does."""
    torch._foreach_mul_(list(tensors), factor)
