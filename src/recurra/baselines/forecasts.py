"""Baseline forecasts: persistence, seasonal naive, ridge regression and a multilayer perceptron.

A model may also learn the residuals of one of them: trained on `targets - seasonal_naive(...)`, its forecast is its
output plus the same `seasonal_naive(...)`.
"""

import warnings
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from recurra.errors import ShapeError

Values = NDArray[np.floating[Any]]


def persistence(context: Values, horizon: int) -> Values:
    """Repeat the last value.

    Args:
        context: past targets, (context, batch, targets).
        horizon: steps to forecast.

    Returns:
        (horizon, batch, targets).
    """
    return seasonal_naive(context, horizon, 1)


def seasonal_naive(context: Values, horizon: int, season: int) -> Values:
    """Repeat the last season.

    Args:
        context: past targets, (context, batch, targets).
        horizon: steps to forecast.
        season: steps of a season; 1 is persistence.

    Returns:
        (horizon, batch, targets).
    Raises:
        ShapeError: the context is shorter than a season.
    """
    if not 1 <= season <= len(context):
        raise ShapeError(
            f"seasonal naive forecast: expected a season of 1 to {len(context)} steps, the context, got {season}"
        )
    forecast: Values = context[-season:][np.arange(horizon) % season]
    return forecast


class LearnedForecaster(Protocol):
    """A baseline that is fitted to training windows."""

    def fit(self, context: Values, targets: Values) -> Self:
        """Fit.

        Args:
            context: training windows, (context, batch, channels).
            targets: the values after them, (horizon, batch, targets).
        """
        ...

    def predict(self, context: Values) -> Values:
        """Forecast (horizon, batch, targets) after windows (context, batch, channels)."""
        ...


class LinearForecaster:
    """Ridge regression of every step of the horizon on every value of the context.

    Fitting takes about twice the memory of the windows.

    Args:
        alpha: strength of the L2 penalty, as in scikit-learn.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        from sklearn.linear_model import Ridge  # slow to import, and not needed to use a model

        self.ridge = Ridge(alpha)

    def fit(self, context: Values, targets: Values) -> Self:
        """Fit to windows (context, batch, channels) and the values after them, (horizon, batch, targets)."""
        self.horizon, _, self.num_targets = targets.shape
        self.ridge.fit(flatten_windows(context), flatten_windows(targets))
        return self

    def predict(self, context: Values) -> Values:
        """Forecast (horizon, batch, targets) after windows (context, batch, channels)."""
        return unflatten_windows(self.ridge.predict(flatten_windows(context)), self.horizon, self.num_targets)


class MLPForecaster:
    """A perceptron with one hidden layer of 64 units on every value of the context, with early stopping.

    Args:
        seed: of its weights, and of the tenth of the windows that are held out for early stopping.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, context: Values, targets: Values) -> Self:
        """Fit to windows (context, batch, channels) and the values after them, (horizon, batch, targets)."""
        self.horizon, batch, self.num_targets = targets.shape
        from sklearn.neural_network import MLPRegressor

        self.network = MLPRegressor(
            hidden_layer_sizes=(64,), early_stopping=batch > 20, max_iter=60, random_state=self.seed
        )
        flat = flatten_windows(targets)
        with warnings.catch_warnings():
            from sklearn.exceptions import ConvergenceWarning

            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is limited on purpose
            self.network.fit(flatten_windows(context), flat[:, 0] if flat.shape[1] == 1 else flat)
        return self

    def predict(self, context: Values) -> Values:
        """Forecast (horizon, batch, targets) after windows (context, batch, channels)."""
        return unflatten_windows(self.network.predict(flatten_windows(context)), self.horizon, self.num_targets)


def flatten_windows(values: Values) -> NDArray[np.float64]:
    """From (time, batch, channels) to one row a window, (batch, time * channels)."""
    return values.swapaxes(0, 1).reshape(values.shape[1], -1).astype(np.float64)


def unflatten_windows(rows: Values, horizon: int, num_targets: int) -> Values:
    """From one row a window, (batch, horizon * targets), to (horizon, batch, targets)."""
    return np.asarray(rows.reshape(-1, horizon, num_targets).swapaxes(0, 1))
