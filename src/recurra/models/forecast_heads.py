"""Output heads of a forecaster: a point, a normal distribution or quantiles of each value, with their losses."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.errors import UsageError

HeadKind = Literal["point", "gaussian", "quantile"]
PointLoss = Literal["mse", "mae", "huber"]

POINT_LOSSES: dict[PointLoss, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}
MIN_LOG_STD = -7.0  # a series without noise would drive it to minus infinity


class ForecastHead(Protocol):
    """Meaning of the last axis of a forecast: the parameters of each value, (..., width)."""

    width: int  # number of parameters
    has_quantiles: bool

    def rescale(self, parameters: Tensor, offset: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """Parameters of the forecast of scale * value + offset, with offset and scale of shape (...)."""
        ...

    def point(self, parameters: Tensor) -> Tensor:
        """The point forecast, (...): the value itself, the mean or the median."""
        ...

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        """Quantiles at increasing levels, in increasing order, (..., levels).

        Raises:
            UsageError: the head has no quantiles, or none at these levels.
        """
        ...

    def loss(self, parameters: Tensor, targets: Tensor) -> Tensor:
        """Mean loss over targets (...), a scalar."""
        ...


def build_head(kind: HeadKind, levels: Sequence[float], point_loss: PointLoss) -> ForecastHead:
    """The head of a recipe.

    Args:
        kind: of head.
        levels: that a quantile head learns, increasing, with 0.5.
        point_loss: loss of a point head.
    """
    heads: dict[HeadKind, ForecastHead] = {
        "point": PointHead(point_loss),
        "gaussian": GaussianHead(),
        "quantile": QuantileHead(levels),
    }
    return heads[kind]


class PointHead:
    """A point forecast.

    Args:
        loss: "mse"; "mae"; or "huber", half the squared error up to 1 and linear beyond.
    """

    width = 1
    has_quantiles = False

    def __init__(self, loss: PointLoss) -> None:
        self.point_loss = loss

    def rescale(self, parameters: Tensor, offset: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """Rescale the point."""
        return rescaled(parameters, offset, scale)

    def point(self, parameters: Tensor) -> Tensor:
        """The point itself."""
        return parameters.squeeze(-1)

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:  # noqa: ARG002
        """Not available.

        Raises:
            UsageError: always.
        """
        raise UsageError('quantiles: the run forecasts points; train one with head = "quantile" or "gaussian"')

    def loss(self, parameters: Tensor, targets: Tensor) -> Tensor:
        """Mean loss."""
        loss: Tensor = POINT_LOSSES[self.point_loss](self.point(parameters), targets)
        return loss


class GaussianHead:
    """A normal distribution: its mean and the logarithm of its standard deviation."""

    width = 2
    has_quantiles = True

    def rescale(self, parameters: Tensor, offset: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """Rescale mean and standard deviation."""
        mean, log_std = parameters.unbind(-1)
        log_scale = scale.log() if isinstance(scale, Tensor) else math.log(scale)
        return torch.stack([mean * scale + offset, log_std + log_scale], -1)

    def point(self, parameters: Tensor) -> Tensor:
        """The mean."""
        return parameters[..., 0]

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        """Quantiles of the normal distribution, at any levels between 0 and 1."""
        if not all(0 < level < 1 for level in levels):
            raise UsageError(f"quantiles: expected levels between 0 and 1, got {list(levels)}")
        mean, std = self.mean_and_std(parameters)
        points = mean.new_tensor([NormalDist().inv_cdf(level) for level in levels])
        return mean.unsqueeze(-1) + std.unsqueeze(-1) * points

    def loss(self, parameters: Tensor, targets: Tensor) -> Tensor:
        """Mean negative log-likelihood, nats."""
        mean, std = self.mean_and_std(parameters)
        nats: Tensor = ((targets - mean) / std).square() / 2 + std.log() + math.log(2 * math.pi) / 2
        return nats.mean()

    def mean_and_std(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, both (...)."""
        mean, log_std = parameters.unbind(-1)
        return mean, log_std.clamp(min=MIN_LOG_STD).exp()


class QuantileHead:
    """Quantiles at some levels.

    Args:
        levels: increasing, between 0 and 1, with 0.5.
    """

    has_quantiles = True

    def __init__(self, levels: Sequence[float]) -> None:
        self.levels, self.width = list(levels), len(levels)

    def rescale(self, parameters: Tensor, offset: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """Rescale all quantiles."""
        return rescaled(parameters, offset, scale)

    def point(self, parameters: Tensor) -> Tensor:
        """The median."""
        return self.quantiles(parameters, [0.5])[..., 0]

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        """The learned quantiles, sorted, and linear interpolation between two of them."""
        low, high = self.levels[0], self.levels[-1]
        if not all(low <= level <= high for level in levels):
            raise UsageError(
                f"quantiles: expected levels from {low} to {high}, the range that the model learned, got {levels}"
            )
        ordered = parameters.sort(-1).values  # repairs crossing quantiles (Chernozhukov et al. 2010)
        found = []
        for level in levels:
            above = next(index for index, known in enumerate(self.levels) if known >= level)
            below = max(above - 1, 0)
            width = self.levels[above] - self.levels[below]
            share = (level - self.levels[below]) / width if width else 1.0
            found.append(torch.lerp(ordered[..., below], ordered[..., above], share))
        return torch.stack(found, -1)

    def loss(self, parameters: Tensor, targets: Tensor) -> Tensor:
        """Mean pinball loss over targets and quantiles."""
        levels = parameters.new_tensor(self.levels)
        errors = targets.unsqueeze(-1) - parameters
        return torch.maximum(levels * errors, (levels - 1) * errors).mean()


def rescaled(values: Tensor, offset: Tensor, scale: Tensor | float) -> Tensor:
    """Values (..., width) times scale (...) plus offset (...)."""
    return values * (scale.unsqueeze(-1) if isinstance(scale, Tensor) else scale) + offset.unsqueeze(-1)
