"""A forecaster in use: tables it goes on from, backtests, and what neither may know."""

from pathlib import Path

import numpy as np
import pytest

import recurra
from hours import DATA, noise, write, write_four
from noting import Notes
from recurra.errors import DataError, UsageError
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks.forecasting.task import Forecasting
from recurra.tasks.forecasting.trained import TrainedForecaster


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_four(tmp_path)


def several(path: Path, first: str = "long", **lengths: int) -> Path:
    """Series of hours, one below the other."""
    times = np.datetime64("2020-01-01", "s") + np.arange(300) * np.timedelta64(1, "h")
    lines = [
        f"{times[start + step]},{name},{value}"
        for name, length in {first: 160, **lengths}.items()
        for start in [0 if name == first else 100]
        for step, value in enumerate(noise(length, seed=len(name)) + 9)
    ]
    path.write_text("\n".join(["time,shop,y", *lines]) + "\n")
    return path


@pytest.fixture
def shops(tmp_path: Path) -> Path:
    """A forecaster of two series, of which a third is too short for a window."""
    path = several(tmp_path / "shops.csv", other=60, short=8)
    return recurra.train(
        "forecasting", path, run=tmp_path / "shops", progress=Progress(), **DATA, series_column="shop", epochs=1,
        hidden_size=[4],
    )  # fmt: skip


def test_series_that_are_too_short_are_left_out_and_named(shops: Path, tmp_path: Path) -> None:
    model, notes = TrainedForecaster(Run(shops)), Notes()
    assert [found.timeline.name for found in model.forecast(progress=notes)] == ["long", "other"]
    assert notes.lines == ["1 of 3 series is too short and left out: short"]
    some = several(tmp_path / "some.csv", first="s", t=9)  # as long as the context is long enough
    assert len(model.forecast(some)) == 2
    few = several(tmp_path / "few.csv", first="short", **{"much shorter": 7})
    few.write_text("".join(line for line in few.read_text().splitlines(True) if ",short," not in line))
    with pytest.raises(
        DataError, match=r"few\.csv series 'much shorter': 7 steps, expected at least 9, a context of 9;"
    ):
        model.forecast(few)
    notes = Notes()
    Forecasting.start(model.task.recipe, notes)
    assert notes.lines[0] == "1 of 3 series is too short and left out: short"
    problems = Forecasting.check(model.task.recipe, Progress())["problems"]
    assert problems == ["1 of 3 series is too short and left out: short"]


def test_a_backtest_is_cut_where_training_was(tmp_path: Path) -> None:
    """Series that are too short to be trained on would move the cut, here into steps that were trained on."""
    path = several(tmp_path / "shops.csv", **{f"s{number}": 5 + number for number in range(4)})
    text = path.read_text().splitlines()
    early = [line.replace("2020-01", "2019-12") for line in text[1:] if ",s" in line]
    path.write_text("\n".join([text[0], *early, *(line for line in text[1:] if ",long" in line)]) + "\n")
    run = recurra.train(
        "forecasting", path, run=tmp_path / "run", progress=Progress(), **DATA, series_column="shop", epochs=1,
        hidden_size=[4],
    )  # fmt: skip
    model, notes = TrainedForecaster(Run(run)), Notes()
    found = model.backtest(progress=notes)
    model.task.set_data(model.task.read_data(Progress()))
    (test,) = model.task.encoded["test"].spans
    assert test == range(128, 160)
    assert [forecast.start for forecast in found] == list(range(128, 160, 4))
    assert notes.lines == ["4 of 5 series are too short and left out: s0, s1, s2, s3"]
    assert len(model.backtest(horizon=30)) == 1  # longer than the validation part
    with pytest.raises(
        DataError, match=r"shops.csv series 'long': the test part holds 32 steps, expected a horizon of 33"
    ):
        model.backtest(horizon=33)


@pytest.mark.parametrize("decoding", ["direct", "autoregressive"])
def test_a_backtest_is_each_forecast_by_itself(decoding: str, table: Path, tmp_path: Path) -> None:
    """In batches over several blocks of the horizon, with covariates known beforehand, to the end of the table."""
    run = recurra.train(
        "forecasting", table, run=tmp_path / "run", progress=Progress(), **DATA, covariates_future="known", epochs=1,
        hidden_size=[4], decoding=decoding, head="quantile",
    )  # fmt: skip
    model = TrainedForecaster(Run(run))
    rows = table.read_text().splitlines()
    calls = []
    forward = model.task.model.forward
    model.task.model.forward = lambda *parts: (calls.append(parts[0].shape[1]), forward(*parts))[1]
    together = model.backtest(horizon=8, stride=1)
    assert calls == ([25, 25] if decoding == "direct" else [25])
    for found in together[::6]:
        end = tmp_path / "end.csv"
        ahead = [f"{row.split(',')[0]},,,,{row.split(',')[4]}" for row in rows[1 + found.start : 9 + found.start]]
        end.write_text("\n".join([*rows[: 1 + found.start], *ahead]) + "\n")
        (alone,) = model.forecast(end, horizon=8)
        np.testing.assert_allclose(found.values, alone.values, rtol=1e-5)
        np.testing.assert_allclose(found.quantiles[0.9], alone.quantiles[0.9], rtol=1e-5)
        assert found.times.tolist() == alone.times.tolist()
    few = tmp_path / "few.csv"
    few.write_text("\n".join([*rows, *(f"2020-01-07T{16 + hour}:00:00,,,,1" for hour in range(6))]) + "\n")
    if decoding == "autoregressive":
        assert len(model.forecast(few, horizon=6)[0].values) == 6
        return
    with pytest.raises(
        DataError, match=r"expected known for 8 steps .*always forecasts whole blocks of 4 steps.* needs 6"
    ):
        model.forecast(few, horizon=6)


def test_beyond_what_a_direct_model_can_tell(table: Path, tmp_path: Path) -> None:
    """What no further row of the table would help is said before it asks for rows."""
    run = recurra.train(
        "forecasting", table, run=tmp_path / "run", progress=Progress(), **DATA, covariates_past="past",
        covariates_future="known", epochs=1, hidden_size=[4],
    )  # fmt: skip
    model = TrainedForecaster(Run(run))
    with pytest.raises(DataError, match="expected known for 4 steps after the last target, got 0; append rows"):
        model.forecast()
    with pytest.raises(UsageError, match="horizon: expected at most 4 steps, since past would have to be known beyond"):
        model.forecast(horizon=5)
    assert len(model.backtest(horizon=3, stride=9)[0].values) == 3


def test_what_a_table_is_too_short_to_tell_is_as_in_training(tmp_path: Path) -> None:
    """Days from Monday to Friday; of one week alone the step could be a day as well."""
    days = [day for day in np.datetime64("2023-01-02") + np.arange(200) if np.is_busday(day)]
    path = tmp_path / "days.csv"
    path.write_text(
        "\n".join(["day,y", *(f"{day},{value}" for day, value in zip(days, noise(200), strict=False))]) + "\n"
    )
    run = recurra.train(
        "forecasting", path, run=tmp_path / "run", progress=Progress(), target="y", context=4, horizon=3, epochs=1,
        hidden_size=[4],
    )  # fmt: skip
    model = TrainedForecaster(Run(run))
    assert model.task.shape.season == 5
    week = tmp_path / "week.csv"
    week.write_text("".join(path.read_text().splitlines(True)[:6]))
    (found,) = model.forecast(week)
    assert found.timeline.format_times(found.times) == ["2023-01-09", "2023-01-10", "2023-01-11"]


def test_a_backtest_knows_no_value_to_come(tmp_path: Path) -> None:
    """A gap before a forecast is filled from what stands before it, whatever stands behind."""
    forecasts = []
    for after in (3.0, 4.0):
        values = noise(200)
        values[170:] = noise(30, seed=9) + after
        values[163:170] = np.nan
        path = write(tmp_path / f"{after}.csv", {"y": values})
        run = recurra.train(
            "forecasting", path, run=tmp_path / str(after), progress=Progress(), target="y", context=9, horizon=10,
            missing="interpolate", epochs=1, hidden_size=[4],
        )  # fmt: skip
        forecasts.append(TrainedForecaster(Run(run)).backtest()[:2])
    for one, other in zip(*forecasts, strict=True):
        assert (one.start, other.start) in ((160, 160), (170, 170))
        np.testing.assert_array_equal(one.values, other.values)
    first, _ = forecasts[0]
    assert np.flatnonzero(np.isnan(first.actual[:, 0])).tolist() == [3, 4, 5, 6, 7, 8, 9]
