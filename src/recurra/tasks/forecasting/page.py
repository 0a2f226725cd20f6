"""Charts of forecasts with prediction intervals and actual values, and of the error by step ahead."""

from collections.abc import Sequence
from typing import Any

from recurra.figures.pages import LazyFigures, set_layout
from recurra.runs import Json

HEIGHT = 420  # pixels


def figures(evaluation: Json) -> list[Any]:
    """Error by step ahead for all splits, and some forecasts of the last one."""
    details = list(evaluation.values())[-1]
    return [error_figure(evaluation), *forecast_figures(details["forecasts"])]


def forecast_figures(charts: Sequence[Json]) -> LazyFigures:
    """A figure for each series and target.

    Args:
        charts: data of the forecasts; see `Forecast.chart`.
    """
    groups: dict[str, list[Json]] = {}
    for chart in charts:
        groups.setdefault(chart["title"], []).append(chart)
    return LazyFigures(list(groups.values()), fan_chart)


def error_figure(evaluation: Json) -> Any:
    """Mean squared error of each step ahead, by split."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for split, details in evaluation.items():
        errors = details["mse_by_step"]
        figure.add_scatter(x=list(range(1, len(errors) + 1)), y=errors, mode="lines+markers", name=split)
    figure.update_xaxes(title=f"steps ahead, each {next(iter(evaluation.values()))['step']}")
    figure.update_yaxes(title="mean squared error (normalized)", rangemode="tozero")
    return set_layout(figure, "Error by step ahead", HEIGHT)


def fan_chart(charts: Sequence[Json]) -> Any:
    """Forecasts of one series and target with their prediction intervals, and the actual values."""
    import plotly.graph_objects as go

    figure = go.Figure()
    levels = list(charts[0]["quantiles"])
    for low, high in zip(levels, levels[::-1], strict=True):
        if float(low) >= float(high):
            break
        outlines = [
            (chart["times"] + chart["times"][::-1], chart["quantiles"][low] + chart["quantiles"][high][::-1])
            for chart in charts
        ]
        x, y = joined(outlines)
        figure.add_scatter(
            x=x, y=y, fill="toself", mode="none", fillcolor="rgba(31,119,180,0.2)", hoverinfo="skip",
            name=f"{low} to {high}",
        )  # fmt: skip
    actual: dict[str, float | None] = {}
    for chart in charts:
        actual |= dict(zip(chart["history_times"], chart["history"], strict=True))
        actual |= dict(zip(chart["times"], chart["actual"], strict=False))  # which may end before the forecast does
    figure.add_scatter(x=list(actual), y=list(actual.values()), mode="lines", line_color="#444", name="actual")
    x, y = joined([(chart["times"], chart["forecast"]) for chart in charts])
    figure.add_scatter(x=x, y=y, mode="lines", line_color="#1f77b4", name="forecast")
    return set_layout(figure, charts[0]["title"], HEIGHT)


def joined(lines: Sequence[tuple[list[Any], list[Any]]]) -> tuple[list[Any], list[Any]]:
    """Several lines (x, y) as one with gaps in between, so that they share one entry of the legend."""
    x = [place for places, _ in lines for place in (*places, None)]
    y = [value for _, values in lines for value in (*values, None)]
    return x[:-1], y[:-1]
