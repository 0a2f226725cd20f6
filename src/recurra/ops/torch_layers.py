"""One layer, one direction, on torch's own recurrent operators: cuDNN on NVIDIA, oneDNN or plain loops on the CPU."""

import torch
from torch import Tensor

from recurra.lengths import check_lengths
from recurra.ops.cells import Cell, State, Weights


def why_not_torch(cell: Cell) -> str | None:
    """Why torch's operators cannot run a layer; None where they can."""
    return None if cell.torch_operator else f"torch has no operator for {cell.name}"


def run_torch(
    cell: Cell, x: Tensor, state: State, weights: Weights, lengths: Tensor | None, reverse: bool
) -> tuple[Tensor, State]:
    """One layer; arguments and results as of `recurra.ops.backends.run_layer`.

    Sequences of different lengths are packed here, longest first, since torch's operators know no lengths; those
    without a step, which torch refuses, keep their state.

    Raises:
        ShapeError: lengths that do not belong to x.
    """
    assert cell.torch_operator is not None
    time, batch, _ = x.shape
    if lengths is not None:
        check_lengths(lengths, time, batch)
        if batch and int(lengths.min()) < time:
            return run_packed(cell, x, state, weights, lengths, reverse)
    if not time or not batch:
        return x.new_zeros(time, batch, state[0].shape[1]), state
    inputs, hx = x.flip(0) if reverse else x, as_hx([part.unsqueeze(0) for part in state])
    output, *final = cell.torch_operator(inputs, hx, *parameters(weights, x), *one_layer(), False)  # time first
    return output.flip(0) if reverse else output, tuple(part.squeeze(0) for part in final)


def run_packed(
    cell: Cell, x: Tensor, state: State, weights: Weights, lengths: Tensor, reverse: bool
) -> tuple[Tensor, State]:
    """A layer over the valid steps alone, side by side in memory."""
    assert cell.torch_operator is not None
    time, batch, features = x.shape
    lengths = lengths.to(x.device)
    ordered, order = lengths.sort(descending=True, stable=True)
    steps = torch.arange(time, device=x.device).unsqueeze(1)
    valid = steps < ordered  # (time, batch)
    taken = ordered - 1 - steps if reverse else steps.expand(time, batch)  # the step that is run at each place
    rows = (taken * batch + order)[valid]  # where each valid step stands in (time*batch)
    counts = valid.sum(1)
    counts, num_sequences = counts[counts > 0].cpu(), int(counts[0])
    if not num_sequences:
        return x.new_zeros(time, batch, state[0].shape[1]), state
    places = order[:num_sequences]
    inputs = x.reshape(-1, features).index_select(0, rows)
    hx = as_hx([part.index_select(0, places).unsqueeze(0) for part in state])
    packed, *final = cell.torch_operator(inputs, counts, hx, *parameters(weights, x), *one_layer())
    output = packed.new_zeros(time * batch, packed.shape[1]).index_copy(0, rows, packed)
    states = [part.index_copy(0, places, end.squeeze(0)) for part, end in zip(state, final, strict=True)]
    return output.view(time, batch, -1), tuple(states)


def one_layer() -> tuple[int, float, bool, bool]:
    """Layers, dropout, whether a backward pass may follow, and whether there are two directions."""
    return 1, 0.0, torch.is_grad_enabled(), False


def as_hx(parts: list[Tensor]) -> Tensor | list[Tensor]:
    """A state as torch's operators take it: one tensor, or a list of several."""
    return parts[0] if len(parts) == 1 else parts


def parameters(weights: Weights, x: Tensor) -> tuple[list[Tensor], bool]:
    """The weights in torch's order, and whether there are biases; one that is missing beside the other is 0."""
    has_biases = "bias_ih" in weights or "bias_hh" in weights
    names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if has_biases else []), "weight_hr"]
    given = {name: x.new_zeros(len(weights["weight_ih"])) for name in names[2:-1]} | dict(weights)
    return [given[name] for name in names if name in given], has_biases
