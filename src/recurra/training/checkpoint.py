"""All that a run needs to go on as if it had never stopped, as named tensors and plain values."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from recurra.runs import Checkpoint, Json

MODEL, OPTIMIZER, STATE, RANDOM = "model.", "optimizer.", "state.", "random."


def pack(model: nn.Module, optimizer: Optimizer, state: Any, position: Json) -> Checkpoint:
    """Everything, as one checkpoint.

    Args:
        model: its weights go in.
        optimizer: its moments go in.
        state: of the recurrent layers after the last batch: tensors in nested tuples, or None.
        position: plain values, taken as they are.
    """
    tensors = {MODEL + name: tensor for name, tensor in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            if value is not None:
                tensors[f"{OPTIMIZER}{index}.{name}"] = torch.as_tensor(value)
    carried = list(flatten(state))
    tensors |= {f"{STATE}{index}": tensor for index, tensor in enumerate(carried)}
    tensors[RANDOM + "cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors[RANDOM + "cuda"] = torch.cuda.get_rng_state()
    return Checkpoint(tensors, {"position": position, "state": nest(state)})


def unpack(checkpoint: Checkpoint, model: nn.Module, optimizer: Optimizer, device: torch.device) -> tuple[Any, Json]:
    """Put everything back; returns the state of the recurrent layers and the position."""
    tensors, values = checkpoint
    model.load_state_dict(under(MODEL, tensors))
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in under(OPTIMIZER, tensors).items():
        index, _, name = key.partition(".")
        moments.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    random = under(RANDOM, tensors)
    torch.set_rng_state(random["cpu"])
    if "cuda" in random and torch.cuda.is_available():
        torch.cuda.set_rng_state(random["cuda"])
    carried = {name: tensor.to(device) for name, tensor in under(STATE, tensors).items()}
    return rebuild(values["state"], iter(carried[str(index)] for index in range(len(carried)))), values["position"]


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose name begins with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def flatten(state: Any) -> Any:
    """The tensors of a nested state, in order."""
    if isinstance(state, Tensor):
        yield state
    elif state is not None:
        for part in state:
            yield from flatten(part)


def nest(state: Any) -> Any:
    """The nesting of a state as JSON: a list a tuple, 0 a tensor, null none at all."""
    if state is None:
        return None
    return 0 if isinstance(state, Tensor) else [nest(part) for part in state]


def rebuild(nesting: Any, tensors: Any) -> Any:
    """A state of this nesting from its tensors in order."""
    if nesting is None:
        return None
    return next(tensors) if nesting == 0 else tuple(rebuild(part, tensors) for part in nesting)
