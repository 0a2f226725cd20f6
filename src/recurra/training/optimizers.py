"""Optimizers, gradient clipping and the moving average of the weights (EMA), as set in the `[training]` section."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from recurra.config import TrainingOptions
from recurra.ops.torch_private import lerp_all_, multiply_all_

EMA = "ema"  # key of the moving average in the optimizer's state of a weight


def build_optimizer(parameters: Iterable[nn.Parameter], options: TrainingOptions) -> Optimizer:
    """The optimizer of a recipe, with torch's fused implementation where possible.

    Weight decay applies to matrices only, not to biases and other vectors.
    """
    parameters = list(parameters)
    groups = [
        {"params": [weight for weight in parameters if weight.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [bias for bias in parameters if bias.ndim <= 1], "weight_decay": 0.0},
    ]
    if options.optimizer == "sgd":
        fused = not options.momentum  # torch's fused SGD with momentum fails if a weight gets its first gradient late
        return SGD(groups, options.learning_rate, momentum=options.momentum, fused=fused)
    kind = Adam if options.optimizer == "adam" else AdamW
    return kind(groups, options.learning_rate, (options.beta1, options.beta2), fused=True)


def update_ema(optimizer: Optimizer, decay: float, step: int) -> None:
    """Update the moving average of the weights (EMA) after a step.

    ema <- d ema + (1 - d) weight with d = min(decay, n / (n + 9)) after n steps. The smaller d of the early steps lets
    the average forget the initial weights soon: it covers about the last tenth of the steps taken so far. Each average
    is kept in the optimizer's state, beside the moments of its weight. torch's AveragedModel is not used: it would
    copy the model, buffers included, and start all averages at the first step, also of weights without a gradient.

    Args:
        optimizer: its weights were just updated; a weight that never had a gradient has no average.
        decay: above 0, below 1.
        step: steps taken so far, from 1.

    Source: Polyak and Juditsky 1992, here with exponential decay.
    """
    for weight in weights_of(optimizer):
        if weight.grad is not None and EMA not in optimizer.state[weight]:
            optimizer.state[weight][EMA] = weight.detach().clone()
    averages = ema_of(optimizer)
    weights = [weight.detach() for weight in averages]
    lerp_all_(list(averages.values()), weights, 1 - min(decay, step / (step + 9)))


@contextmanager
def ema_weights(optimizer: Optimizer) -> Iterator[None]:
    """Replace the weights by their moving averages inside a `with` block; those without one stay."""
    averages = ema_of(optimizer)
    weights = [weight.detach() for weight in averages]
    saved = [weight.clone() for weight in weights]
    for weight, average in zip(weights, averages.values(), strict=True):
        weight.copy_(average)
    try:
        yield
    finally:
        for weight, value in zip(weights, saved, strict=True):
            weight.copy_(value)


def ema_of(optimizer: Optimizer) -> dict[Tensor, Tensor]:
    """The moving average of each weight that has one."""
    states = ((weight, optimizer.state.get(weight, {})) for weight in weights_of(optimizer))
    return {weight: state[EMA] for weight, state in states if EMA in state}


def weights_of(optimizer: Optimizer) -> list[Tensor]:
    """All parameters of an optimizer, over its groups."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Set the learning rate of all parameters for the steps to come."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def clip_gradients(parameters: list[nn.Parameter], options: TrainingOptions) -> float:
    """Clip gradients in place by `clip_norm` or `clip_value`.

    Returns:
        The norm over all gradients before clipping.
    """
    gradients: list[Tensor] = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if options.clip_norm and norm > options.clip_norm:
        multiply_all_(gradients, options.clip_norm / (float(norm) + 1e-6))
    elif options.clip_value:
        nn.utils.clip_grad_value_(parameters, options.clip_value)
    return float(norm)
