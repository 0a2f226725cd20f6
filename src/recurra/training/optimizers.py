"""Update rules, clipping and learning-rate schedules, as the `[training]` section asks for them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from recurra.config import TrainingOptions

AVERAGE = "average"  # name of the mean of a weight, beside its moments
LEAST = 1e-3  # of the learning rate, below which a plateau does not bring it: nothing would be learned any more


def build_optimizer(parameters: Iterable[nn.Parameter], options: TrainingOptions) -> Optimizer:
    """The update rule of a recipe; weight decay leaves biases alone."""
    parameters = list(parameters)
    groups = [
        {"params": [weight for weight in parameters if weight.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [bias for bias in parameters if bias.ndim <= 1], "weight_decay": 0.0},
    ]
    if options.optimizer == "sgd":
        fused = not options.momentum  # with it, torch's own falls over a weight whose first gradient comes late
        return SGD(groups, options.learning_rate, momentum=options.momentum, fused=fused)
    rule = Adam if options.optimizer == "adam" else AdamW
    betas = (options.beta1, options.beta2)
    return rule(groups, options.learning_rate, betas, fused=True)


def average_weights(optimizer: Optimizer, decay: float, step: int) -> None:
    """Take the weights after an update into their running mean, which stands beside their moments.

    average <- d average + (1 - d) weight (Polyak and Juditsky 1992, with a decay) where d = min(decay, n / (n + 9))
    after n steps: as long as these are few, mostly their last tenth counts, so that the beginning is soon forgotten.

    Args:
        optimizer: whose weights, just updated; one that never had a gradient has no mean.
        decay: between 0 and 1.
        step: updates so far, from 1.
    """
    for weight in weights_of(optimizer):
        if weight.grad is not None and AVERAGE not in optimizer.state[weight]:
            optimizer.state[weight][AVERAGE] = weight.detach().clone()
    averages = averages_of(optimizer)
    weights = [weight.detach() for weight in averages]
    torch._foreach_lerp_(list(averages.values()), weights, 1 - min(decay, step / (step + 9)))


@contextmanager
def averaged(optimizer: Optimizer) -> Iterator[None]:
    """Put the means of weights in their place for a while, where there are any."""
    averages = averages_of(optimizer)
    weights = [weight.detach() for weight in averages]
    own = [weight.clone() for weight in weights]
    for weight, average in zip(weights, averages.values(), strict=True):
        weight.copy_(average)
    try:
        yield
    finally:
        for weight, value in zip(weights, own, strict=True):
            weight.copy_(value)


def averages_of(optimizer: Optimizer) -> dict[Tensor, Tensor]:
    """The mean of each weight that has one."""
    states = ((weight, optimizer.state.get(weight, {})) for weight in weights_of(optimizer))
    return {weight: state[AVERAGE] for weight, state in states if AVERAGE in state}


def weights_of(optimizer: Optimizer) -> list[Tensor]:
    """What an update rule updates."""
    return [weight for group in optimizer.param_groups for weight in group["params"]]


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Learning rate of all further steps."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def next_learning_rate(options: TrainingOptions, current: float, next_epoch: int, improved: bool) -> float:
    """Learning rate of the epoch to come.

    Args:
        options: the schedule.
        current: learning rate of the epoch just ended.
        next_epoch: number of the epoch to come, counted from 0.
        improved: whether the validation loss of the epoch just ended was the lowest so far.
    """
    if options.schedule == "epoch":
        return options.learning_rate * options.decay ** max(0, next_epoch + 1 - options.decay_after)
    if options.schedule == "plateau" and not improved:
        return max(current * options.decay, min(current, LEAST * options.learning_rate))
    return current


def clip_gradients(parameters: list[nn.Parameter], options: TrainingOptions) -> float:
    """Clip as the recipe asks, and return the norm of the whole gradient before that."""
    gradients: list[Tensor] = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    if options.clip_norm and norm > options.clip_norm:
        torch._foreach_mul_(gradients, options.clip_norm / (float(norm) + 1e-6))
    elif options.clip_value:
        nn.utils.clip_grad_value_(parameters, options.clip_value)
    return float(norm)
