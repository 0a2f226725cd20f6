"""What a forecaster says of a value: the value, a normal distribution, or quantiles; and what a wrong one costs."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.errors import UsageError

Kind = Literal["point", "gaussian", "quantile"]
PointLoss = Literal["mse", "mae", "huber"]

COSTS: dict[PointLoss, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}
LOWEST_LOG_DEVIATION = -7.0  # a series without noise would drive it to minus infinity


class Head(Protocol):
    """How the last axis of a forecast is read: parameters (..., width) of one value."""

    width: int  # parameters of a value
    has_quantiles: bool

    def move(self, parameters: Tensor, center: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """Parameters of scale * value + center, both (...)."""
        ...

    def middle(self, parameters: Tensor) -> Tensor:
        """The forecast as one number, (...)."""
        ...

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        """Quantiles in the order of their levels, none above the next higher, (..., levels).

        Raises:
            UsageError: the forecast does not tell them.
        """
        ...

    def loss(self, parameters: Tensor, targets: Tensor) -> Tensor:
        """Mean cost over targets (...), a scalar."""
        ...


def head_of(kind: Kind, levels: Sequence[float], point_loss: PointLoss) -> Head:
    """The head of a recipe.

    Args:
        kind: what it says of a value.
        levels: of the quantiles it is trained on, rising, 0.5 among them.
        point_loss: what a wrong point costs.
    """
    heads: dict[Kind, Head] = {
        "point": PointHead(point_loss),
        "gaussian": GaussianHead(),
        "quantile": QuantileHead(levels),
    }
    return heads[kind]


class PointHead:
    """One number.

    Args:
        loss: "mse"; "mae"; or "huber", which is half the square up to 1 and linear from there.
    """

    width = 1
    has_quantiles = False

    def __init__(self, loss: PointLoss) -> None:
        self.cost = loss

    def move(self, parameters: Tensor, center: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """The number moves."""
        return moved(parameters, center, scale)

    def middle(self, parameters: Tensor) -> Tensor:
        """The number itself."""
        return parameters.squeeze(-1)

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:  # noqa: ARG002
        """There are none."""
        raise UsageError('quantiles: the run forecasts points; train one with head = "quantile" or "gaussian"')

    def loss(self, parameters: Tensor, targets: Tensor) -> Tensor:
        """Mean cost of the errors."""
        cost: Tensor = COSTS[self.cost](self.middle(parameters), targets)
        return cost


class GaussianHead:
    """Mean and logarithm of the deviation of a normal distribution."""

    width = 2
    has_quantiles = True

    def move(self, parameters: Tensor, center: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """The mean moves, the deviation is scaled."""
        mean, log_deviation = parameters.unbind(-1)
        log_scale = scale.log() if isinstance(scale, Tensor) else math.log(scale)
        return torch.stack([mean * scale + center, log_deviation + log_scale], -1)

    def middle(self, parameters: Tensor) -> Tensor:
        """The mean."""
        return parameters[..., 0]

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        """Of the normal distribution, for any levels between 0 and 1."""
        if not all(0 < level < 1 for level in levels):
            raise UsageError(f"quantiles: expected numbers between 0 and 1, got {list(levels)}")
        mean, deviation = self.read(parameters)
        points = mean.new_tensor([NormalDist().inv_cdf(level) for level in levels])
        return mean.unsqueeze(-1) + deviation.unsqueeze(-1) * points

    def loss(self, parameters: Tensor, targets: Tensor) -> Tensor:
        """Mean negative logarithm of the density, nats."""
        mean, deviation = self.read(parameters)
        nats: Tensor = ((targets - mean) / deviation).square() / 2 + deviation.log() + math.log(2 * math.pi) / 2
        return nats.mean()

    def read(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation."""
        mean, log_deviation = parameters.unbind(-1)
        return mean, log_deviation.clamp(min=LOWEST_LOG_DEVIATION).exp()


class QuantileHead:
    """Some quantiles of any distribution.

    Args:
        levels: rising, between 0 and 1, 0.5 among them.
    """

    has_quantiles = True

    def __init__(self, levels: Sequence[float]) -> None:
        self.levels, self.width = list(levels), len(levels)

    def move(self, parameters: Tensor, center: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """All quantiles move."""
        return moved(parameters, center, scale)

    def middle(self, parameters: Tensor) -> Tensor:
        """The median."""
        return self.quantiles(parameters, [0.5])[..., 0]

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        """Those that were trained, in order, and between two of them a straight line."""
        low, high = self.levels[0], self.levels[-1]
        if not all(low <= level <= high for level in levels):
            raise UsageError(f"quantiles: expected numbers from {low} to {high}, what the run learned, got {levels}")
        ordered = parameters.sort(-1).values  # what crosses is put in order (Chernozhukov et al. 2010)
        found = []
        for level in levels:
            above = next(index for index, known in enumerate(self.levels) if known >= level)
            below = max(above - 1, 0)
            width = self.levels[above] - self.levels[below]
            share = (level - self.levels[below]) / width if width else 1.0
            found.append(torch.lerp(ordered[..., below], ordered[..., above], share))
        return torch.stack(found, -1)

    def loss(self, parameters: Tensor, targets: Tensor) -> Tensor:
        """Mean pinball loss over targets and quantiles, of the parameters in the order of their levels."""
        levels = parameters.new_tensor(self.levels)
        missing = targets.unsqueeze(-1) - parameters
        return torch.maximum(levels * missing, (levels - 1) * missing).mean()


def moved(parameters: Tensor, center: Tensor, scale: Tensor | float) -> Tensor:
    """Numbers (..., width), scaled and moved by (...)."""
    return parameters * (scale.unsqueeze(-1) if isinstance(scale, Tensor) else scale) + center.unsqueeze(-1)
