"""`recurra forecast`."""

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.output import Device, Json, RunFolder, not_for, open_model, print_json, progress
from recurra.errors import UsageError, counted

if TYPE_CHECKING:
    from recurra.tasks.forecasting.scoring import Forecast


def forecast(
    run: RunFolder,
    data: Annotated[
        str | None, typer.Argument(help="Table to go on from; by default that the run was trained on.")
    ] = None,
    horizon: Annotated[
        int | None, typer.Option("--horizon", "-n", min=1, help="Steps; by default as many as were trained on.")
    ] = None,
    quantiles: Annotated[
        str | None, typer.Option(help="Levels such as 0.1,0.5,0.9; by default those of the run, if it tells any.")
    ] = None,
    backtest: Annotated[
        bool, typer.Option("--backtest", help="Forecast the test part instead, block by block, beside what came.")
    ] = False,
    out: Annotated[str | None, typer.Option(help="CSV file to write instead of standard output.")] = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """What comes after the end of a table, as CSV; and a chart of it in the run folder.

    Example: recurra forecast runs/etth1-24 newest.csv --horizon 48 --out tomorrow.csv
    """
    levels = read_levels(quantiles)
    if out and as_json:
        raise UsageError("--out is for CSV, --json for standard output; leave one of them out")
    model = open_model(run, device)
    from recurra.figures.pages import write_charts
    from recurra.inference import TrainedForecaster
    from recurra.runs import write_atomically
    from recurra.tasks.forecasting.page import FILE, by_series, fan_figure

    if not isinstance(model, TrainedForecaster):
        raise not_for(run, "forecasts nothing", model.task)
    found = (model.backtest if backtest else model.forecast)(data, horizon, levels, progress=progress(quiet=False))
    rows = [row for one in found for row in rows_of(one, backtest)]
    fans = [one.fan(target) for one in found for target in range(one.values.shape[1])]
    title = f"{model.run.folder.name}: {'backtest' if backtest else 'forecast'}"
    page = write_charts(model.run.path(FILE), title, by_series(fans), fan_figure)
    if as_json:
        print_json({"forecast": rows, "page": str(page), **(scores(rows, found[0]) if backtest else {})})
        return
    text = as_csv(rows)
    if out:
        write_atomically(Path(out), text.encode())
    else:
        print(text, end="")
    if backtest:
        tell_scores(scores(rows, found[0]), found)
    print(f"{f'forecast {out}; ' if out else ''}chart {page}", file=sys.stderr)


def read_levels(text: str | None) -> list[float] | None:
    """Levels as typed."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--quantiles {text}: expected numbers between 0 and 1, such as 0.1,0.5,0.9") from None


def rows_of(found: "Forecast", backtest: bool) -> list[dict[str, Any]]:
    """One row a target and step; with what came, None where the table holds nothing, where it is a backtest."""
    from recurra.tasks.forecasting.scoring import plain

    rows = []
    (made_at,) = found.timeline.format_times(found.timeline.times[found.start - 1 : found.start])
    for target, name in enumerate(found.timeline.channels[: found.values.shape[1]]):
        came = plain(found.actual[:, target])
        for step, time in enumerate(found.timeline.format_times(found.times)):
            row: dict[str, Any] = {
                "series": found.timeline.name,
                "target": name,
                "made_at": made_at,
                "time": time,
            }
            row["forecast"] = float(found.values[step, target])
            if backtest:
                row["actual"] = came[step]
            rows.append(row | {f"q{level:g}": float(told[step, target]) for level, told in found.quantiles.items()})
    return rows


def tell_scores(reached: dict[str, dict[str, float]], found: "list[Forecast]") -> None:
    """Scores of a backtest in words, on standard error."""
    levels = sorted(found[0].quantiles)
    for name, error in reached["mae"].items():
        told = f"{name}: mean absolute error {error:,.4g} over {counted(len(found), 'forecast')}"
        if "coverage" in reached:
            told += (
                f"; {reached['coverage'][name]:.1%} of the values between q{levels[0]:g} and q{levels[-1]:g}, expected "
                f"{levels[-1] - levels[0]:.1%}"
            )
        print(told, file=sys.stderr)


def scores(rows: list[dict[str, Any]], one: "Forecast") -> dict[str, dict[str, float]]:
    """Mean absolute error of each target, in units of the table, and its share between the outermost quantiles.

    Args:
        rows: of all forecasts.
        one: of them; two levels of quantiles make an interval.
    """
    told, levels = {"mae": means(rows, lambda row: abs(row["forecast"] - row["actual"]))}, sorted(one.quantiles)
    if len(levels) > 1:
        low, high = f"q{levels[0]:g}", f"q{levels[-1]:g}"
        told["coverage"] = means(rows, lambda row: float(row[low] <= row["actual"] <= row[high]))
    return told


def means(rows: list[dict[str, Any]], score: Callable[[dict[str, Any]], float]) -> dict[str, float]:
    """Mean of a score of each target where it is known what came."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["actual"] is not None:
            found.setdefault(row["target"], []).append(score(row))
    return {name: sum(each) / len(each) for name, each in found.items()}


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV with a head."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {key: f"{value:.10g}" if isinstance(value, float) else value for key, value in row.items()} for row in rows
    )
    return file.getvalue()
