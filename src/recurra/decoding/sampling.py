"""Sampling the next token from logits."""

import math

import torch
from torch import Tensor

from recurra.errors import UsageError

MAX_SEED = 2**63 - 1  # of a torch.Generator
MIN_TEMPERATURE = 1e-6  # below it a division would overflow; the most probable token is taken instead


def filtered_probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0
) -> Tensor:
    """Probabilities to sample from, after temperature, top-k and top-p filtering in this order.

    Args:
        logits: (..., vocabulary).
        temperature: above 1 flattens the distribution, below 1 sharpens it; 0 leaves only the most probable token.
        top_k: keep this many of the most probable tokens, at least 1; None keeps all.
        top_p: keep the most probable tokens up to this total probability, above 0 and at most 1; at least one is kept.

    Returns:
        (..., vocabulary), which sums to 1 over the last axis.

    Raises:
        UsageError: a value outside its range.

    Source: Holtzman et al. 2020, The curious case of neural text degeneration (top-p, nucleus sampling).
    """
    if not 0 <= temperature < math.inf:
        raise UsageError(f"temperature: expected a number of 0 or more, got {temperature}")
    if top_k is not None and top_k < 1:
        raise UsageError(f"top_k: expected at least 1, got {top_k}")
    if not 0 < top_p <= 1:
        raise UsageError(f"top_p: expected more than 0 and at most 1, got {top_p}")
    if temperature < MIN_TEMPERATURE:
        top_k, temperature = 1, 1.0
    logits = (logits - logits.max(-1, keepdim=True).values) / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        # By rank, not by threshold: ties may not leave more than top_k tokens.
        kept = logits.topk(top_k, -1).indices
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept, logits.gather(-1, kept))
    probabilities = logits.softmax(-1)
    if top_p < 1:
        ordered, order = probabilities.sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered  # total probability of all more probable tokens
        kept_mass = torch.where(before < top_p, ordered, 0)
        probabilities = torch.zeros_like(probabilities).scatter(-1, order, kept_mass)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    return probabilities
