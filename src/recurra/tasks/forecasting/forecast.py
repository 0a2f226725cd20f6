"""A forecast in units of the table: its values beside the actual ones, as rows, JSON and chart data."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from recurra.data.timeline.scaling import Values
from recurra.data.timeline.timeline import Timeline
from recurra.data.timeline.timestamps import Times
from recurra.errors import counted
from recurra.metrics.forecasts import absolute_errors, inside_interval
from recurra.runs import Json
from recurra.tasks.forecasting.scoring import none_for_nan
from recurra.tasks.trained import Table

HISTORY = 3  # horizons of history in a chart


class Forecast(NamedTuple):
    """A forecast of one series, in units of the table."""

    timeline: Timeline
    start: int  # number of the first step of the forecast
    times: Times  # (horizon,)
    values: Values  # (horizon, targets)
    quantiles: dict[float, Values]  # by level, (horizon, targets)
    is_backtest: bool = False  # whether rows hold the actual values too

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.timeline.channels[: self.values.shape[1]]

    @property
    def text(self) -> str:
        """The values, a line for each target."""
        return "\n".join(" ".join(f"{value:.4g}" for value in values) for values in self.values.T)

    @property
    def actual(self) -> Values:
        """The actual values as far as the table goes, NaN where a cell was empty, (0 to horizon, targets)."""
        return self.timeline.observed(
            np.arange(self.start, min(self.start + len(self.times), len(self.timeline.times)))
        )

    def as_json(self) -> Json:
        """The name of the series, and the rows as objects."""
        return {"series": self.timeline.name, "forecast": self.rows()}

    def as_table(self) -> Table:
        """The rows as CSV."""
        rows = self.rows()
        return Table(tuple(rows[0]), [list(map(as_cell, row.values())) for row in rows], "csv")

    def rows(self) -> list[Json]:
        """A row for each target and step.

        Keys are series, target, made_at (the last step before the forecast), time, forecast, in a backtest actual (None
        where the table has no value), and q0.1 and the like for quantiles.
        """
        (made_at,) = self.timeline.format_times(self.timeline.times[self.start - 1 : self.start])
        found = []
        for target, name in enumerate(self.targets):
            actual = none_for_nan(self.actual[:, target]) if self.is_backtest else []
            for step, time in enumerate(self.timeline.format_times(self.times)):
                row: Json = {"series": self.timeline.name, "target": name, "made_at": made_at, "time": time}
                row["forecast"] = float(self.values[step, target])
                if self.is_backtest:
                    row["actual"] = actual[step]
                levels = self.quantiles.items()
                found.append(row | {f"q{level:g}": float(values[step, target]) for level, values in levels})
        return found

    def chart(self, target: int) -> Json:
        """History, forecast, actual values and quantiles of one target as plain values."""
        first = max(self.start - HISTORY * len(self.times), 0)
        name = self.targets[target]
        return {
            "title": name if name == self.timeline.name else f"{self.timeline.name}: {name}",
            "history_times": self.timeline.format_times(self.timeline.times[first : self.start]),
            "history": none_for_nan(self.timeline.observed(np.arange(first, self.start))[:, target]),
            "times": self.timeline.format_times(self.times),
            "forecast": self.values[:, target].tolist(),
            "actual": none_for_nan(self.actual[:, target]),
            "quantiles": {str(level): values[:, target].tolist() for level, values in self.quantiles.items()},
        }


def as_cell(value: str | float | None) -> str:
    """A value as a cell of a CSV file: numbers with ten significant digits, None empty."""
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


class BacktestScores(NamedTuple):
    """Scores of one target over the forecasts of a backtest."""

    mae: float  # in units of the table
    coverage: float | None  # share of the values between the outermost quantiles; None with fewer than two levels


def backtest_scores(forecasts: Sequence[Forecast]) -> dict[str, BacktestScores]:
    """Scores of each target over the forecasts of a backtest; targets without any actual value are left out."""
    actual = np.concatenate([one.actual for one in forecasts])  # (steps of all forecasts, targets), NaN where unknown
    errors = absolute_errors(np.concatenate([one.values for one in forecasts]), actual)
    levels, inside = sorted(forecasts[0].quantiles), None
    if len(levels) > 1:
        lower, upper = (
            np.concatenate([one.quantiles[level] for one in forecasts]) for level in (levels[0], levels[-1])
        )
        inside = inside_interval(lower, upper, actual)
    found = {}
    for target, name in enumerate(forecasts[0].targets):
        known = ~np.isnan(actual[:, target])
        if known.any():
            coverage = None if inside is None else float(inside[known, target].mean())
            found[name] = BacktestScores(float(errors[known, target].mean()), coverage)
    return found


def describe_backtest(forecasts: Sequence[Forecast]) -> list[str]:
    """A sentence for each target: its mean absolute error, and its coverage beside the nominal one."""
    levels, lines = sorted(forecasts[0].quantiles), []
    for name, (mae, coverage) in backtest_scores(forecasts).items():
        text = f"{name}: mean absolute error {mae:,.4g} over {counted(len(forecasts), 'forecast')}"
        if coverage is not None:
            text += (
                f"; {coverage:.1%} of the values between q{levels[0]:g} and q{levels[-1]:g}, expected "
                f"{levels[-1] - levels[0]:.1%}"
            )
        lines.append(text)
    return lines
