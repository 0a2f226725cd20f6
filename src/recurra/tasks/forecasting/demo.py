"""The demo of forecasting: a chaotic series."""

from collections.abc import Iterator

from recurra.data.timeline.timestamps import format_time
from recurra.tasks.demo import Demo
from recurra.tasks.forecasting.trained import TrainedForecaster
from recurra.tasks.trained import Table

STRIDE = 12  # of the steps shown


def show(model: TrainedForecaster) -> Iterator[str | Table]:
    """The first forecast of the test part beside the actual values."""
    found = model.backtest()[0]
    yield f"A forecast of what follows {format_time(found.timeline.times[found.start - 1])}, beside the actual values:"
    steps = range(STRIDE - 1, len(found.values), STRIDE)
    rows = [(f"{step + 1}", f"{found.values[step, 0]:.3f}", f"{found.actual[step, 0]:.3f}") for step in steps]
    yield Table(("steps ahead", "forecast", "actual"), rows)


DEMO = Demo(
    about="A forecaster learns the next 84 steps of a chaotic series (Mackey & Glass 1977) from the last 64:\n"
    "GRU 64, one linear map to all steps. Half a minute to a minute on two cores.",
    data="mackey-glass",
    recipe={
        "target": ["x"],
        "context": 64,
        "horizon": 84,
        "season": 50,  # it is not periodic, but of all lags this one serves the seasonal baseline best
        "hidden_size": [64],
        "epochs": 24,
        "batch_size": 32,
        "learning_rate": 5e-3,
        "schedule": "step",
        "decay": 0.8,
        "decay_after": 8,
    },
    expected={"model": 0.00165, "persistence": 2.161, "seasonal_naive": 0.5154, "linear": 0.2887, "mlp": 0.1203},
    show=show,
    next="  recurra forecast {run} --horizon 168\n"
    "  recurra forecast {run} --backtest --out backtest.csv\n"
    "  recurra train forecasting YOUR-TABLE.csv --target COLUMN --context 64 --horizon 24",
)
