"""The kernels as operators of torch: which layers they can run, how they are compiled and differentiated.

As `torch.ops.recurra.scan` they are differentiated once by the kernels, and further by the step-by-step operators.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.ops.cells import CELLS, Cell, State, Weights
from recurra.ops.scan import ScanInputs, cell_and_kernel, nothing, room_for, scan, scan_backward
from recurra.ops.steps import run_steps
from recurra.ops.torch_private import is_recorded, is_transformed


def why_not_kernels(cell: Cell, x: Tensor, weights: Weights) -> str | None:
    """Why the kernels cannot run a layer; None where they can."""
    if cell.fused is None:
        return f"no kernel is written for {cell.name}"
    if x.device.type != "cpu":
        return f"the kernels run on the CPU, the input is on {x.device}"
    if x.dtype not in (torch.float32, torch.float64):
        return f"the kernels compute in float32 and float64, the input is {x.dtype}"
    if "weight_hr" in weights:
        return "the kernels have no projection"
    if torch.is_autocast_enabled("cpu"):
        return "autocast chooses the precision"
    if not torch.compiler.is_compiling() and is_transformed():
        return "torch.func and forward-mode differentiation need operators of torch's own"
    return None


def run_kernels(
    cell: Cell, x: Tensor, state: State, weights: Weights, lengths: Tensor | None, reverse: bool, recompute: bool
) -> tuple[Tensor, State]:
    """One layer; arguments and results as of `recurra.ops.backends.run_layer`."""
    h0, c0 = state if len(state) == 2 else (state[0], None)
    biases = weights.get("bias_ih"), weights.get("bias_hh")
    inputs = (x, h0, c0, weights["weight_ih"], weights["weight_hh"], *biases)
    save = torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in inputs)
    function: Callable[..., Any] = torch.ops.recurra.scan
    if type(x) is Tensor and not is_traced():  # past the dispatcher, which costs as much as many steps of a small layer
        function = PlainScan.apply if save else scan
    output, *final = function(*inputs, lengths, cell.name, reverse, save, recompute)[: 1 + len(state)]
    return output, tuple(final)


def is_traced() -> bool:
    """Whether the operators of a call are being recorded or compiled."""
    return torch.compiler.is_compiling() or is_recorded()


LIBRARY = torch.library.Library("recurra", "DEF")
LIBRARY.define(
    "scan(Tensor x, Tensor h0, Tensor? c0, Tensor weight_ih, Tensor weight_hh, Tensor? bias_ih, Tensor? bias_hh, "
    "Tensor? lengths, str cell, bool reverse, bool save, bool recompute) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)
LIBRARY.define(
    "scan_backward(Tensor? d_output, Tensor? d_h_n, Tensor? d_c_n, Tensor x, Tensor h0, Tensor? c0, Tensor weight_ih, "
    "Tensor weight_hh, Tensor? bias_ih, Tensor? bias_hh, Tensor? lengths, Tensor output, Tensor gates, Tensor inner, "
    "Tensor c, str cell, bool reverse, bool with_x) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"
)


def fake_scan(*arguments: Any) -> tuple[Tensor, ...]:
    """Shapes of what `scan` returns."""
    x, _, c0, weight_ih, weight_hh, _, _, lengths, name, _, save, recompute = arguments
    _, fused = cell_and_kernel(name)
    time, batch, _ = x.shape
    hidden = weight_hh.shape[1]
    is_kept = save and not recompute and fused.saves_gates
    has_steps = is_kept or (save and c0 is not None)
    steps: Any = torch.library.get_ctx().new_dynamic_size() if has_steps and lengths is not None else time * batch
    return (
        x.new_empty(time, batch, hidden),
        x.new_empty(batch, hidden),
        nothing(x) if c0 is None else x.new_empty(batch, hidden),
        x.new_empty(steps, len(weight_ih)) if is_kept else nothing(x),
        x.new_empty(steps, hidden) if is_kept and fused.keeps_inner else nothing(x),
        x.new_empty(steps, hidden) if save and c0 is not None else nothing(x),
    )


def fake_scan_backward(*arguments: Any) -> tuple[Tensor, ...]:
    """Shapes of what `scan_backward` returns."""
    x, h0, c0, weight_ih, weight_hh = arguments[3:8]
    with_bias, with_x = arguments[8] is not None or arguments[9] is not None, arguments[-1]
    return (
        room_for(x) if with_x else nothing(x),
        room_for(h0),
        nothing(x) if c0 is None else room_for(c0),
        room_for(weight_ih),
        room_for(weight_hh),
        x.new_empty(2 * len(weight_hh) if with_bias else 0),
    )


def remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what the backward pass needs."""
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:8], output[0], *output[3:])
    ctx.cell, ctx.reverse = inputs[8:10]


def go_back(ctx: Any, *d_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
    """Gradients of the inputs of `scan`; where they may be differentiated again, by the step-by-step operators."""
    inputs, saved = ScanInputs(*ctx.saved_tensors[:8]), ctx.saved_tensors[8:]
    if torch.is_grad_enabled():
        return *differentiable_gradients(ctx, inputs[:7], inputs.lengths, d_outputs[:3]), *(None,) * 5
    has_bias = inputs.bias_ih is not None or inputs.bias_hh is not None
    backward: Callable[..., tuple[Tensor, ...]] = torch.ops.recurra.scan_backward if is_traced() else scan_backward
    d_x, d_h0, d_c0, d_weight_ih, d_weight_hh, d_bias = backward(
        *d_outputs[:3], *inputs, *saved, ctx.cell, ctx.reverse, ctx.needs_input_grad[0]
    )
    d_bias_ih, d_bias_hh = d_bias.chunk(2) if has_bias else (None, None)
    found = (d_x, d_h0, d_c0, d_weight_ih, d_weight_hh, d_bias_ih, d_bias_hh)
    return *(d if needed else None for d, needed in zip(found, ctx.needs_input_grad, strict=False)), *(None,) * 5


def differentiable_gradients(
    ctx: Any, inputs: Sequence[Tensor | None], lengths: Tensor | None, d_outputs: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """The gradients of the first seven inputs of `scan`, by operators that autograd can differentiate again."""
    # Views stand apart: an input computed from another, or passed twice, has a gradient of its own here.
    inputs = [None if part is None else part.view_as(part) for part in inputs]
    x, h0, c0, *matrices_and_biases = inputs
    assert x is not None
    assert h0 is not None
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = {name: part for name, part in zip(names, matrices_and_biases, strict=True) if part is not None}
    state = (h0,) if c0 is None else (h0, c0)
    output, final = run_steps(CELLS[ctx.cell], x, state, weights, lengths, ctx.reverse)
    outputs = [output, *final]
    pairs = [(o, d) for o, d in zip(outputs, d_outputs, strict=False) if d is not None and o.requires_grad]
    wanted = [part for part, needed in zip(inputs, ctx.needs_input_grad, strict=False) if needed and part is not None]
    found = torch.autograd.grad(
        [o for o, _ in pairs], wanted, [d for _, d in pairs], create_graph=True, allow_unused=True
    )
    gradients = iter(found)
    return [next(gradients) if needed else None for needed in ctx.needs_input_grad[:7]]


class PlainScan(torch.autograd.Function):
    """`scan` as autograd alone sees it, for calls that nobody traces."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        """The operator's."""
        outputs = scan(*inputs)
        remember(ctx, inputs, outputs)
        return outputs[:3]

    @staticmethod
    def backward(ctx: Any, *d_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        """The operator's."""
        return go_back(ctx, *d_outputs)


def opaque(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that torch.compile, if it is at work, must not look into: it would find addresses."""

    def call(*arguments: Any) -> Any:
        if "torch._dynamo" in sys.modules:  # else nobody has compiled anything, and importing it takes a second
            return torch.compiler.disable(function)(*arguments)
        return function(*arguments)

    return call


LIBRARY.impl("scan", opaque(scan), "CPU")
LIBRARY.impl("scan_backward", opaque(scan_backward), "CPU")
torch.library.register_fake("recurra::scan", fake_scan, lib=LIBRARY)
torch.library.register_fake("recurra::scan_backward", fake_scan_backward, lib=LIBRARY)
torch.library.register_autograd("recurra::scan", go_back, setup_context=remember, lib=LIBRARY)
