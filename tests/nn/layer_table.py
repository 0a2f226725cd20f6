"""Every recurrent layer beside torch's, and how to fill and compare them; no two sizes agree."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

import recurra.nn as rnn

TIME, BATCH, INPUT, HIDDEN, PROJECTION = 5, 3, 4, 6, 2
DOUBLE = torch.float64

OURS: dict[str, type] = {"RNN": rnn.RNN, "LSTM": rnn.LSTM, "GRU": rnn.GRU}
THEIRS: dict[str, type] = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}

# What tells one layer from another beyond what all have: name, constructor, options.
VARIANTS: dict[str, tuple[type, dict[str, Any]]] = {
    "rnn_tanh": (rnn.RNN, {}),
    "rnn_relu": (rnn.RNN, {"nonlinearity": "relu"}),
    "rnn_sigmoid": (rnn.RNN, {"nonlinearity": "sigmoid"}),
    "lstm": (rnn.LSTM, {}),
    "lstm_projected": (rnn.LSTM, {"proj_size": PROJECTION}),
    "gru": (rnn.GRU, {}),
    "gru_reset_before": (rnn.GRU, {"reset_after": False}),
}

# What torch.nn has too.
SHARED: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn_tanh": ("RNN", {}),
    "rnn_relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "lstm_projected": ("LSTM", {"proj_size": PROJECTION}),
    "gru": ("GRU", {}),
}


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=DOUBLE).requires_grad_()


def build(name: str, **options: Any) -> nn.Module:
    """A layer of the table with random weights; dtype double unless told."""
    make, own = VARIANTS[name]
    torch.manual_seed(7)
    return make(**({"input_size": INPUT, "hidden_size": HIDDEN, "dtype": DOUBLE} | own | options))


def pair(name: str, **options: Any) -> tuple[nn.Module, nn.Module]:
    """Our layer and torch's with the same weights."""
    cell, own = SHARED[name]
    options = {"input_size": INPUT, "hidden_size": HIDDEN, "dtype": DOUBLE} | own | options
    torch.manual_seed(7)
    theirs = THEIRS[cell](**options)
    ours = OURS[cell](**options)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def first_state(layer: nn.Module, batch: int | None = BATCH) -> Any:
    """A random state in the form of the layer: h and c differ, and so does every slot."""
    slots = layer.num_layers * (1 + layer.bidirectional)
    middle = () if batch is None else (batch,)
    h = draw(slots, *middle, layer_width(layer), seed=11)
    return (h, draw(slots, *middle, layer.hidden_size, seed=12)) if isinstance(layer, rnn.LSTM) else h


def layer_width(layer: nn.Module) -> int:
    return getattr(layer, "proj_size", 0) or layer.hidden_size


def tensors(*results: Any) -> list[Tensor]:
    """All tensors in nested results, in order."""
    flat: list[Tensor] = []
    for result in results:
        if isinstance(result, nn.utils.rnn.PackedSequence):
            flat.append(result.data)
        elif isinstance(result, Tensor):
            flat.append(result)
        else:
            flat += tensors(*result)
    return flat


def gradients(results: Iterable[Tensor], leaves: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Gradient of a loss in which every element of every result has its own weight."""
    results = list(results)
    weights = [draw(*result.shape, seed=20 + index).detach() for index, result in enumerate(results)]
    return torch.autograd.grad(results, list(leaves), weights)


def assert_same(ours: nn.Module, theirs: nn.Module, call: Callable[[nn.Module], Any], inputs: Iterable[Tensor]) -> None:
    """Results and the gradients of inputs and all parameters agree to 1e-10."""
    inputs = list(inputs)
    our_results, their_results = tensors(call(ours)), tensors(call(theirs))
    torch.testing.assert_close(our_results, their_results, rtol=1e-10, atol=1e-10)
    our_slopes = gradients(our_results, [*inputs, *ours.parameters()])
    their_slopes = gradients(their_results, [*inputs, *theirs.parameters()])
    torch.testing.assert_close(our_slopes, their_slopes, rtol=1e-10, atol=1e-10)
