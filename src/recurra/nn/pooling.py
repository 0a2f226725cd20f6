"""From a sequence of vectors to one: how a classifier reads what a recurrent layer wrote."""

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError
from recurra.lengths import check_lengths, valid_steps


def mean_over_time(output: Tensor, lengths: Tensor) -> Tensor:
    """Mean of the valid steps.

    Args:
        output: (time, batch, features).
        lengths: valid steps of each sequence, integer (batch,).

    Returns:
        (batch, features), 0 where the length is 0.

    Raises:
        ShapeError: output has not three axes, or lengths do not belong to it.
    """
    valid = check_sequences("mean_over_time", output, lengths)
    return torch.where(valid, output, 0).sum(0) / lengths.to(output.device).clamp(min=1).unsqueeze(1)


def max_over_time(output: Tensor, lengths: Tensor) -> Tensor:
    """Largest value of each feature over the valid steps.

    Args:
        output: (time, batch, features).
        lengths: valid steps of each sequence, integer (batch,).

    Returns:
        (batch, features), 0 where the length is 0.

    Raises:
        ShapeError: output has not three axes, or lengths do not belong to it.
    """
    valid = check_sequences("max_over_time", output, lengths)
    if not len(output):
        return output.sum(0)  # zeros that know their graph
    largest = torch.where(valid, output, -torch.inf).amax(0)  # (batch, features)
    return torch.where(valid[0], largest, 0)


class AttentionPooling(nn.Module):
    """Mean of the valid steps, weighted by how much each says: softmax over time of v . tanh(W h + b).

    Args:
        features: width of a step.

    Source: Yang et al. 2016, Hierarchical Attention Networks, equations 5 to 7.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.project = nn.Linear(features, features)
        self.score = nn.Linear(features, 1, bias=False)

    def forward(self, output: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Pool a batch.

        Args:
            output: (time, batch, features).
            lengths: valid steps of each sequence, integer (batch,).

        Returns:
            (batch, features), 0 where the length is 0; and the weights (time, batch), which add up to 1 over the valid
            steps and are 0 in the padding.

        Raises:
            ShapeError: output has not three axes, or lengths do not belong to it.
        """
        valid = check_sequences("AttentionPooling", output, lengths)
        output = torch.where(valid, output, 0)
        scores = self.score(self.project(output).tanh())  # (time, batch, 1), of a smaller type under autocast
        scores = scores.masked_fill(~valid, torch.finfo(scores.dtype).min)
        weights = torch.where(valid, scores.softmax(0), 0)
        return (weights * output).sum(0), weights.squeeze(2)


def check_sequences(name: str, output: Tensor, lengths: Tensor) -> Tensor:
    """Refuse what is no batch of sequences; returns which steps are valid, (time, batch, 1)."""
    if output.dim() != 3:
        raise ShapeError(f"{name} output: expected (time, batch, features), got {tuple(output.shape)}")
    check_lengths(lengths, output.shape[0], output.shape[1])
    return valid_steps(lengths.to(output.device), len(output)).unsqueeze(2)
