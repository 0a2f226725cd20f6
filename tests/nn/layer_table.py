"""Every recurrent layer beside torch's, and how to fill and compare them; no two sizes agree."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from recurra.nn.layers import LAYERS
from recurra.ops.cells import CELLS

TIME, BATCH, INPUT, HIDDEN, PROJECTION = 5, 3, 4, 6, 2
DOUBLE = torch.float64

ALL: dict[str, type] = {layer.family: layer for layer in LAYERS.values()}
# Every cell, and what a layer of it is built with beyond what all layers have: the class, options.
VARIANTS: dict[str, tuple[type, dict[str, Any]]] = {
    name: (ALL[cell.family], dict(cell.options)) for name, cell in CELLS.items()
} | {"lstm_projected": (ALL["LSTM"], {"proj_size": PROJECTION})}

# What torch.nn has too.
THEIRS: dict[str, type] = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
OURS: dict[str, type] = {family: ALL[family] for family in THEIRS}
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
    """A random state in the form of the layer: h and c differ, and so does every layer and direction."""
    places = layer.num_layers * (1 + layer.bidirectional)
    middle = () if batch is None else (batch,)
    widths = [listed[0] for listed in layer.layout.widths.values()]
    parts = [draw(places, *middle, width, seed=11 + part) for part, width in enumerate(widths)]
    return layer.layout.from_parts(tuple(parts))


def layer_width(layer: nn.Module) -> int:
    return layer.proj_size or layer.hidden_size


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
