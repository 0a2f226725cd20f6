"""Choosing a next token from logits."""

import math

import torch
from torch import Tensor

from recurra.errors import UsageError

COLDEST = 1e-6  # temperature below which only the most likely type is left, and a division would overflow


def adjusted(logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0) -> Tensor:
    """Probabilities to draw from.

    Args:
        logits: (..., types).
        temperature: above 1 flattens, below 1 sharpens; 0 leaves only the most likely type.
        top_k: keep this many of the most likely types.
        top_p: then keep the most likely types until they hold this share of the probability, at least one
            (Holtzman et al. 2020, nucleus sampling).

    Returns:
        (..., types), each adding up to 1.

    Raises:
        UsageError: a value outside its range.
    """
    if not 0 <= temperature < math.inf:
        raise UsageError(f"temperature: expected a number of 0 or more, got {temperature}")
    if top_k is not None and top_k < 1:
        raise UsageError(f"top_k: expected at least 1, got {top_k}")
    if not 0 < top_p <= 1:
        raise UsageError(f"top_p: expected more than 0 and at most 1, got {top_p}")
    if temperature < COLDEST:
        top_k, temperature = 1, 1.0
    logits = (logits - logits.max(-1, keepdim=True).values) / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        # By rank, not by threshold: of equally likely types only as many stay as were asked for.
        kept = logits.topk(top_k, -1).indices
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept, logits.gather(-1, kept))
    probabilities = logits.softmax(-1)
    if top_p < 1:
        ordered, order = probabilities.sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered  # probability of all that is likelier
        kept_mass = torch.where(before < top_p, ordered, 0)
        probabilities = torch.zeros_like(probabilities).scatter(-1, order, kept_mass)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    return probabilities
