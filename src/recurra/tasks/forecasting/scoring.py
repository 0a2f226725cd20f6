"""Forecasts in units of the table, their scores, and the baselines."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.baselines.forecasts import (
    LearnedForecaster,
    LinearForecaster,
    MLPForecaster,
    flatten_windows,
    persistence,
    seasonal_naive,
)
from recurra.data.normalizer import Normalizer
from recurra.data.timeline.scaling import restore
from recurra.data.timeline.timeline import Timeline
from recurra.data.timeline.timestamps import Times
from recurra.data.timeline.windows import ForecastWindow, Windows
from recurra.metrics.forecasts import (
    absolute_errors,
    inside_interval,
    pinball_losses,
    scaled_errors,
    seasonal_error,
    squared_errors,
    symmetric_percentage_errors,
)
from recurra.runs import Json
from recurra.tasks.task import Scores
from recurra.tasks.trained import Table

MAX_NUMBERS = 30_000_000  # values that a baseline is fitted to
EVALUATION_BATCH = 256  # windows
HISTORY = 3  # horizons of history in a figure

Values = NDArray[np.floating[Any]]
Losses = dict[str, Values]  # by score, (horizon, batch, targets), NaN where not defined
PlainForecast = Callable[[ForecastWindow], Values]  # (horizon, batch, targets) of windows in training deviations


class Forecast(NamedTuple):
    """A forecast of one series, in units of the table."""

    timeline: Timeline
    start: int  # the step it begins at
    times: Times  # (horizon,)
    values: Values  # (horizon, targets)
    quantiles: dict[float, Values]  # by level, (horizon, targets)
    is_backtest: bool = False  # whether the actual values are shown beside it

    @property
    def text(self) -> str:
        """The values of the first target."""
        return " ".join(f"{value:.4g}" for value in self.values[:, 0])

    def as_json(self) -> Json:
        """All rows of the table, as objects."""
        return {"series": self.timeline.name, "forecast": self.rows()}

    def as_table(self) -> Table:
        """The rows as CSV: series, target, made_at, time, forecast, with actual values in a backtest, and quantiles."""
        rows = self.rows()
        return Table(tuple(rows[0]), [list(map(as_cell, row.values())) for row in rows], "csv")

    def rows(self) -> list[Json]:
        """A row for each target and step."""
        found = []
        (made_at,) = self.timeline.format_times(self.timeline.times[self.start - 1 : self.start])
        for target, name in enumerate(self.timeline.channels[: self.values.shape[1]]):
            actual = plain(self.actual[:, target]) if self.is_backtest else []
            for step, time in enumerate(self.timeline.format_times(self.times)):
                row: Json = {"series": self.timeline.name, "target": name, "made_at": made_at, "time": time}
                row["forecast"] = float(self.values[step, target])
                if self.is_backtest:
                    row["actual"] = actual[step]
                levels = self.quantiles.items()
                found.append(row | {f"q{level:g}": float(values[step, target]) for level, values in levels})
        return found

    @property
    def actual(self) -> Values:
        """The actual values as far as the table goes, NaN where a cell is empty, (0 to horizon, targets)."""
        return self.timeline.observed(
            np.arange(self.start, min(self.start + len(self.times), len(self.timeline.times)))
        )

    def fan(self, target: int) -> Json:
        """One target as plain values for a figure."""
        first = max(self.start - HISTORY * len(self.times), 0)
        name = self.timeline.channels[target]
        return {
            "title": name if name == self.timeline.name else f"{self.timeline.name}: {name}",
            "history_times": self.timeline.format_times(self.timeline.times[first : self.start]),
            "history": plain(self.timeline.observed(np.arange(first, self.start))[:, target]),
            "times": self.timeline.format_times(self.times),
            "forecast": self.values[:, target].tolist(),
            "actual": plain(self.actual[:, target]),
            "quantiles": {str(level): values[:, target].tolist() for level, values in self.quantiles.items()},
        }


def as_cell(value: str | float | None) -> str:
    """A value in a CSV file, with ten significant digits."""
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def plain(values: Values) -> list[float | None]:
    """Numbers as JSON has them: None for NaN."""
    return [None if np.isnan(value) else value for value in values.tolist()]


class HeldOut(NamedTuple):
    """Windows to evaluate on, and their scores."""

    windows: Windows
    scorer: "Scorer"


class Scorer:
    """Scores of forecasts in training deviations, and in units of the table.

    Args:
        normalizer: what made these of those.
        timelines: the series, in units of the table.
        spans: steps of each whose seasonal error is the unit of MASE.
        season: steps.
    """

    def __init__(
        self, normalizer: Normalizer, timelines: Sequence[Timeline], spans: Sequence[range], season: int
    ) -> None:
        self.normalizer, self.timelines = normalizer, timelines
        parts = [timeline.observed(np.array(span, np.int64)) for timeline, span in zip(timelines, spans, strict=True)]
        undefined = np.full(timelines[0].num_targets, np.nan)
        units = [seasonal_error(part, season) if len(part) > season else undefined for part in parts]
        self.units = np.array(units)  # (series, targets)

    def losses(self, forecast: Values, targets: Values, series: NDArray[np.int64]) -> Losses:
        """Losses of some windows.

        Args:
            forecast: (horizon, batch, targets).
            targets: of the same shape.
            series: which series each window is of, (batch,).
        """
        told, came = restore(forecast, self.normalizer), restore(targets, self.normalizer)
        return {
            "mse": squared_errors(forecast, targets),
            "mae": absolute_errors(forecast, targets),
            "mae_unscaled": absolute_errors(told, came),
            "mase": scaled_errors(told, came, self.units[series]),
            "smape": symmetric_percentage_errors(told, came),
        }


def quantile_losses(quantiles: Values, targets: Values, levels: Sequence[float]) -> Losses:
    """Mean pinball loss, and whether targets lie between the outer quantiles where there are two.

    Args:
        quantiles: (horizon, batch, targets, levels).
        targets: (horizon, batch, targets).
        levels: rising.
    """
    each = [pinball_losses(quantiles[..., index], targets, level) for index, level in enumerate(levels)]
    covered = {"coverage": inside_interval(quantiles[..., 0], quantiles[..., -1], targets)} if len(levels) > 1 else {}
    return {**covered, "pinball": np.mean(each, 0)}


class Means:
    """Mean losses over all batches, without undefined ones."""

    def __init__(self) -> None:
        self.sums: dict[str, Values] = {}  # by step ahead, (horizon,)
        self.counts: dict[str, NDArray[np.int64]] = {}

    def add(self, losses: Mapping[str, Values]) -> None:
        """Count a batch, each loss (horizon, batch, targets)."""
        for name, values in losses.items():
            count = np.count_nonzero(~np.isnan(values), (1, 2))
            self.counts[name] = self.counts.get(name, 0) + count
            self.sums[name] = self.sums.get(name, 0) + np.nansum(values, (1, 2))

    def scores(self) -> Scores:
        """Means over everything."""
        return {name: float(self.sums[name].sum() / count.sum()) for name, count in self.counts.items() if count.any()}

    def by_step(self, name: str) -> list[float | None]:
        """Mean of each step ahead; None where nothing is defined."""
        return plain(self.sums[name] / np.where(self.counts[name], self.counts[name], np.nan))


def without_gaps(example: ForecastWindow) -> Values:
    """Targets to learn from, for what needs them all: the last that is known where one is not."""
    known = np.concatenate([example.context[-1:, :, : example.targets.shape[2]], example.targets])
    steps = np.arange(len(known)).reshape(-1, 1, 1)
    latest = np.maximum.accumulate(np.where(np.isnan(known), 0, steps))  # (1 + horizon, batch, targets)
    return np.take_along_axis(known, latest, 0)[1:]


def in_batches(windows: Windows) -> list[NDArray[np.int64]]:
    """All windows, some at once."""
    numbers = np.arange(len(windows))
    return np.array_split(numbers, -(-len(numbers) // EVALUATION_BATCH))


def plain_forecasts(train: Windows, season: int, seed: int) -> dict[str, Callable[[], PlainForecast]]:
    """What a forecaster has to beat, by name; the last two learn from training windows when they are called.

    Those forecast the difference to the last value, from the differences of the context to its last values.
    """
    one = train.timelines[0]
    num_targets, first_known, horizon = one.num_targets, one.first_known, train.horizon

    def past(example: ForecastWindow) -> Values:
        return example.context[..., :num_targets]

    def features(example: ForecastWindow) -> Values:
        context = example.context.copy()
        context[..., :first_known] -= example.context[-1:, :, :first_known]
        return np.hstack([flatten_windows(context), flatten_windows(example.future)])[None]  # (1, batch, features)

    def learned(baseline: LearnedForecaster) -> PlainForecast:
        width = train.context * len(one.channels) + horizon * (one.num_known + num_targets)
        count = min(len(train), max(MAX_NUMBERS // width, 1))
        example = train.batch(np.linspace(0, len(train) - 1, count).astype(np.int64))
        fitted = baseline.fit(features(example), without_gaps(example) - past(example)[-1:])
        return lambda example: fitted.predict(features(example)) + past(example)[-1:]

    found: dict[str, Callable[[], PlainForecast]] = {
        "persistence": lambda: lambda example: persistence(past(example), horizon)
    }
    if 1 < season <= train.context:
        found["seasonal_naive"] = lambda: lambda example: seasonal_naive(past(example), horizon, season)
    found["linear"] = lambda: learned(LinearForecaster())
    found["mlp"] = lambda: learned(MLPForecaster(seed))
    return found


def scores_of(forecast: PlainForecast, windows: Windows, scorer: Scorer) -> Scores:
    """Scores of a plain forecast."""
    means = Means()
    for numbers in in_batches(windows):
        example = windows.batch(numbers)
        means.add(scorer.losses(forecast(example), example.targets, windows.locate(numbers)[0]))
    return means.scores()
