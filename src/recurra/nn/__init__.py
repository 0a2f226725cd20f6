"""Torch modules: recurrent layers that take the place of torch.nn's, and what models put around them."""

from torch import nn

from recurra.nn import layers
from recurra.nn.attention import Attention, Memory
from recurra.nn.crf import Allowed, LinearChainCRF, bio_constraints
from recurra.nn.dropout import LockedDropout, drop_words
from recurra.nn.initialization import initialize
from recurra.nn.layers import *  # noqa: F403 - all layer classes, as layers.py lists them
from recurra.nn.losses import linear_cross_entropy
from recurra.nn.pooling import AttentionPooling, max_over_time, mean_over_time
from recurra.nn.recurrent import Batch, Recurrent
from recurra.nn.sequences import both_ends, last_valid_step
from recurra.nn.streaming import Stream
from recurra.ops.backends import use_backend


def explain(module: nn.Module, input: Batch) -> str:
    """The backend that the recurrent layers of a module run on, and why; see `use_backend`.

    Args:
        module: a recurrent layer, or a module with such layers inside.
        input: for a layer what its forward takes; for a module anything on the device and of the type of its layers'
            inputs.

    Returns:
        A few lines to read, one for each layer and direction.
    """
    if isinstance(module, Recurrent):
        return module.explain(input)
    inside = [layer for layer in module.modules() if isinstance(layer, Recurrent)]
    return "\n".join(layer.explain(input.data.new_empty(1, 1, layer.input_size)) for layer in inside)


__all__ = [
    "Allowed",
    "Attention",
    "AttentionPooling",
    "LinearChainCRF",
    "LockedDropout",
    "Memory",
    "Stream",
    "bio_constraints",
    "both_ends",
    "drop_words",
    "explain",
    "initialize",
    "last_valid_step",
    "linear_cross_entropy",
    "max_over_time",
    "mean_over_time",
    "use_backend",
]
__all__ += layers.__all__
