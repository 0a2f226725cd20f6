"""Figures of forecasts: what was, what is forecast, how sure that is, and what came; and the error by step ahead."""

from collections.abc import Sequence
from typing import Any

from recurra.figures.pages import set_layout
from recurra.runs import Json

HEIGHT = 420  # pixels


def figures(evaluation: Json) -> list[Any]:
    """Error by step ahead for all splits, and some forecasts of the last one."""
    details = list(evaluation.values())[-1]
    return [error_figure(evaluation), *map(fan_figure, by_series(details["fans"]))]


def by_series(fans: Sequence[Json]) -> list[list[Json]]:
    """Forecasts of one series and target side by side, for one figure each."""
    groups: dict[str, list[Json]] = {}
    for fan in fans:
        groups.setdefault(fan["title"], []).append(fan)
    return list(groups.values())


def error_figure(evaluation: Json) -> Any:
    """Mean squared error of each step ahead, by split."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for split, details in evaluation.items():
        errors = details["mse_by_step"]
        figure.add_scatter(x=list(range(1, len(errors) + 1)), y=errors, mode="lines+markers", name=split)
    figure.update_xaxes(title=f"steps ahead, each {next(iter(evaluation.values()))['step']}")
    figure.update_yaxes(title="mean squared error, training deviations squared", rangemode="tozero")
    return set_layout(figure, "Error by step ahead", HEIGHT)


def fan_figure(fans: Sequence[Json]) -> Any:
    """Forecasts of one series and target, with bands between quantiles, over what was and what came."""
    import plotly.graph_objects as go

    figure = go.Figure()
    levels = list(fans[0]["quantiles"])
    for low, high in zip(levels, levels[::-1], strict=True):
        if float(low) >= float(high):
            break
        outlines = [
            (fan["times"] + fan["times"][::-1], fan["quantiles"][low] + fan["quantiles"][high][::-1]) for fan in fans
        ]
        x, y = joined(outlines)
        figure.add_scatter(
            x=x, y=y, fill="toself", mode="none", fillcolor="rgba(31,119,180,0.2)", hoverinfo="skip",
            name=f"{low} to {high}",
        )  # fmt: skip
    known: dict[str, float] = {}
    for fan in fans:
        known |= dict(zip(fan["history_times"], fan["history"], strict=True))
        known |= dict(zip(fan["times"], fan["actual"], strict=False))
    figure.add_scatter(x=list(known), y=list(known.values()), mode="lines", line_color="#444", name="actual")
    x, y = joined([(fan["times"], fan["forecast"]) for fan in fans])
    figure.add_scatter(x=x, y=y, mode="lines", line_color="#1f77b4", name="forecast")
    return set_layout(figure, fans[0]["title"], HEIGHT)


def joined(lines: Sequence[tuple[list[Any], list[Any]]]) -> tuple[list[Any], list[Any]]:
    """Lines as one that is broken between them."""
    x = [place for places, _ in lines for place in (*places, None)]
    y = [value for _, values in lines for value in (*values, None)]
    return x[:-1], y[:-1]
