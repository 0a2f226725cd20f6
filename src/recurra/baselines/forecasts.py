"""Baseline forecasts: persistence, seasonal naive, ridge regression and a multilayer perceptron."""

import warnings
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor

from recurra.baselines.naive_forecasts import Values, seasonal_naive


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
        self.network = MLPRegressor(
            hidden_layer_sizes=(64,), early_stopping=batch > 20, max_iter=60, random_state=self.seed
        )
        flat = flatten_windows(targets)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is limited on purpose
            self.network.fit(flatten_windows(context), flat[:, 0] if flat.shape[1] == 1 else flat)
        return self

    def predict(self, context: Values) -> Values:
        """Forecast (horizon, batch, targets) after windows (context, batch, channels)."""
        return unflatten_windows(self.network.predict(flatten_windows(context)), self.horizon, self.num_targets)


class ForecastBaseline(Protocol):
    """A baseline forecast of windows with covariates."""

    name: str  # in tables

    def fit(self, context: Values, targets: Values, future: Values) -> Self:
        """Fit.

        Args:
            context: of the training windows, targets first, (context, batch, channels).
            targets: the values after them, finite, (horizon, batch, targets).
            future: future covariates, (horizon, batch, features).
        """
        ...

    def predict(self, context: Values, future: Values) -> Values:
        """Forecast (horizon, batch, targets) after windows, given as in `fit`."""
        ...


class NaiveBaseline:
    """Repeats the last season of the targets.

    Args:
        name: in tables.
        num_targets: channels of a context that are targets, the first ones.
        season: steps of a season; 1 is persistence.
    """

    def __init__(self, name: str, num_targets: int, season: int) -> None:
        self.name, self.num_targets, self.season = name, num_targets, season

    def fit(self, context: Values, targets: Values, future: Values) -> Self:  # noqa: ARG002
        """Nothing to fit."""
        return self

    def predict(self, context: Values, future: Values) -> Values:
        """Forecast (horizon, batch, targets)."""
        return seasonal_naive(context[..., : self.num_targets], len(future), self.season)


class DifferenceBaseline:
    """A regression that forecasts differences to the last values of the targets.

    Its features are the context, relative to its last values but for future covariates, and the future covariates.

    Args:
        name: in tables.
        regression: on these features.
        num_targets: channels of a context that are targets, the first ones.
        first_known: index of the first channel that is a future covariate.
    """

    def __init__(self, name: str, regression: LearnedForecaster, num_targets: int, first_known: int) -> None:
        self.name, self.regression, self.num_targets, self.first_known = name, regression, num_targets, first_known

    def fit(self, context: Values, targets: Values, future: Values) -> Self:
        """Fit the regression; arguments as of `ForecastBaseline`."""
        self.regression.fit(self.features(context, future), targets - self.last_targets(context))
        return self

    def predict(self, context: Values, future: Values) -> Values:
        """Forecast (horizon, batch, targets)."""
        forecast: Values = self.regression.predict(self.features(context, future)) + self.last_targets(context)
        return forecast

    def last_targets(self, context: Values) -> Values:
        """The last values of the targets, (1, batch, targets)."""
        return context[-1:, :, : self.num_targets]

    def features(self, context: Values, future: Values) -> Values:
        """Features of windows, (1, batch, features)."""
        relative = context.copy()
        relative[..., : self.first_known] -= context[-1:, :, : self.first_known]
        return np.hstack([flatten_windows(relative), flatten_windows(future)])[None]


def forecast_baselines(num_targets: int, first_known: int, season: int | None, seed: int) -> list[ForecastBaseline]:
    """The baselines that a forecaster is compared with.

    Args:
        num_targets: channels of a context that are targets, the first ones.
        first_known: index of the first channel that is a future covariate.
        season: steps of a season, at most the context; None leaves the seasonal baseline out.
        seed: of the perceptron.
    """
    seasonal = [] if season is None else [NaiveBaseline("seasonal_naive", num_targets, season)]
    return [
        NaiveBaseline("persistence", num_targets, 1),
        *seasonal,
        DifferenceBaseline("linear", LinearForecaster(), num_targets, first_known),
        DifferenceBaseline("mlp", MLPForecaster(seed), num_targets, first_known),
    ]


def flatten_windows(values: Values) -> NDArray[np.float64]:
    """From (time, batch, channels) to one row a window, (batch, time * channels)."""
    return values.swapaxes(0, 1).reshape(values.shape[1], -1).astype(np.float64)


def unflatten_windows(rows: Values, horizon: int, num_targets: int) -> Values:
    """From one row a window, (batch, horizon * targets), to (horizon, batch, targets)."""
    return np.asarray(rows.reshape(-1, horizon, num_targets).swapaxes(0, 1))
