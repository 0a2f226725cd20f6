"""Checkpoints: everything that a run needs to go on exactly, as named tensors and plain values.

Tensors: `model.*` weights, `optimizer.<parameter>.<name>` moments and moving averages, `recurrent_state.<n>`, and
`random.cpu`, `random.cuda` for the random number generators. Values: `recurrent_state` says how its tensors are nested;
the training loop adds its own.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from recurra.runs import Checkpoint

MODEL, OPTIMIZER, STATE, RANDOM = "model.", "optimizer.", "recurrent_state.", "random."


def pack(model: nn.Module, optimizer: Optimizer, state: Any) -> Checkpoint:
    """Collect the tensors of a checkpoint. Those of the model and the optimizer are not copied.

    Args:
        model: its weights and buffers are stored.
        optimizer: its state of each parameter is stored, but not its learning rate, which belongs to the schedule.
        state: of the recurrent layers after the last batch: tensors in nested tuples, or None.
    """
    tensors = {MODEL + name: tensor for name, tensor in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            if value is not None:
                tensors[f"{OPTIMIZER}{index}.{name}"] = torch.as_tensor(value)
    tensors |= {f"{STATE}{index}": tensor for index, tensor in enumerate(flatten(state))}
    tensors[RANDOM + "cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors[RANDOM + "cuda"] = torch.cuda.get_rng_state()
    return Checkpoint(tensors, {"recurrent_state": nesting_of(state)})


def unpack(checkpoint: Checkpoint, model: nn.Module, optimizer: Optimizer, device: torch.device) -> Any:
    """Restore weights, optimizer state and random number generators; returns the state of the recurrent layers.

    Args:
        checkpoint: from `pack`.
        model: of the same architecture.
        optimizer: of the same kind, over the parameters of `model`.
        device: where the recurrent state goes.

    Raises:
        KeyError, RuntimeError, TypeError: the checkpoint belongs to another model or optimizer.
    """
    tensors, values = checkpoint
    model.load_state_dict(with_prefix(MODEL, tensors))
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in with_prefix(OPTIMIZER, tensors).items():
        index, _, name = key.partition(".")
        moments.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    random = with_prefix(RANDOM, tensors)
    torch.set_rng_state(random["cpu"])
    if "cuda" in random and torch.cuda.is_available():
        torch.cuda.set_rng_state(random["cuda"])
    states = {name: tensor.to(device) for name, tensor in with_prefix(STATE, tensors).items()}
    return nest(values["recurrent_state"], iter(states[str(index)] for index in range(len(states))))


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with a prefix, under their names without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def flatten(state: Any) -> Iterator[Tensor]:
    """The tensors of a nested state, in order."""
    if isinstance(state, Tensor):
        yield state
    elif state is not None:
        for part in state:
            yield from flatten(part)


def nesting_of(state: Any) -> Any:
    """How a state is nested, as JSON: a list for a tuple, 0 for a tensor, null for None."""
    if state is None:
        return None
    return 0 if isinstance(state, Tensor) else [nesting_of(part) for part in state]


def nest(nesting: Any, tensors: Iterator[Tensor]) -> Any:
    """The state with this nesting, from its tensors in order."""
    if nesting is None:
        return None
    return next(tensors) if nesting == 0 else tuple(nest(part, tensors) for part in nesting)
