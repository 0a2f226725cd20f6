"""A trained forecaster: forecasts of tables, backtests, its options, rows, charts and summaries."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra
from hours import DATA, noise, write, write_four
from noting import Notes
from recurra.data.tables import read_table
from recurra.errors import DataError, UsageError
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks.forecasting import page
from recurra.tasks.forecasting.task import Forecasting
from recurra.tasks.forecasting.trained import TrainedForecaster
from recurra.tasks.task import load_data


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_four(tmp_path)


def several(path: Path, first: str = "long", **lengths: int) -> Path:
    """A table of several hourly series."""
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
    """A forecaster trained on two series; a third is too short for a window."""
    path = several(tmp_path / "shops.csv", other=60, short=8)
    return recurra.train(
        "forecasting", path, run=tmp_path / "shops", progress=Progress(), **DATA, series_column="shop", epochs=1,
        hidden_size=[4],
    )  # fmt: skip


def test_series_that_are_too_short_are_left_out_and_named(shops: Path, tmp_path: Path) -> None:
    model, notes = TrainedForecaster(Run(shops)), Notes()
    assert [found.timeline.name for found in model.forecast(progress=notes)] == ["long", "other"]
    assert notes.lines == ["1 of 3 series is too short and left out: short"]
    some = several(tmp_path / "some.csv", first="s", t=9)  # a context is enough
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


def test_a_backtest_splits_the_table_as_training_did(tmp_path: Path) -> None:
    """Series that are too short for training would move the split, here into steps that were trained on."""
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
    load_data(model.task, model.run, Progress())
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
def test_a_backtest_equals_its_forecasts_one_by_one(decoding: str, table: Path, tmp_path: Path) -> None:
    """In batches, over several blocks of the horizon, with future covariates, up to the end of the table."""
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


def test_what_a_direct_model_cannot_forecast(table: Path, tmp_path: Path) -> None:
    """A horizon that no further rows would make possible is refused before rows are asked for."""
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


def test_the_step_of_a_short_table_is_that_of_training(tmp_path: Path) -> None:
    """Days from Monday to Friday; in a table of one week they could be all days."""
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


def test_a_backtest_reads_no_later_value(tmp_path: Path) -> None:
    """A gap at the end of a context is filled from the values before it, whatever comes after."""
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


# --- answers -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forecaster of two targets; z has values in neither of two forecasts of the test part of 32 steps."""
    folder = tmp_path_factory.mktemp("gaps")
    values = noise(160, 2) + 5
    values[131, 0] = values[140:148, 1] = np.nan
    path = write(folder / "gaps.csv", {"y": values[:, 0], "z": values[:, 1]})
    return recurra.train(
        "forecasting", path, run=folder / "run", progress=Progress(), target=["y", "z"], context=9, horizon=4,
        missing="forward", epochs=1, hidden_size=[4], head="gaussian",
    )  # fmt: skip


def test_rows_of_a_backtest_stand_beside_the_actual_values(gaps: Path) -> None:
    model = TrainedForecaster(Run(gaps))
    first, *_ = found = model.backtest(quantiles=[0.9, 0.25])
    assert [one.start for one in found] == list(range(128, 160, 4))
    rows = first.as_json()["forecast"]
    assert list(rows[0]) == ["series", "target", "made_at", "time", "forecast", "actual", "q0.25", "q0.9"]
    assert [row["target"] for row in rows] == ["y"] * 4 + ["z"] * 4
    assert [row["time"] for row in rows[4:]] == [f"2020-01-06T{hour:02d}:00:00" for hour in range(8, 12)]
    assert {row["made_at"] for row in rows} == {"2020-01-06T07:00:00"}
    assert [row["forecast"] for row in rows] == first.values.T.flatten().tolist()
    assert [row["q0.9"] for row in rows] == first.quantiles[0.9].T.flatten().tolist()
    lines = Path(model.options.path).read_text().splitlines()
    assert [row["actual"] for row in rows[:3]] == [float(line.split(",")[1]) for line in lines[129:132]]
    assert rows[3]["actual"] is None  # a gap, though it is filled for the model
    table = first.as_table()
    assert (table.style, table.columns) == ("csv", tuple(rows[0]))
    assert table.rows[0] == [
        "gaps", "y", "2020-01-06T07:00:00", "2020-01-06T08:00:00",
        *(f"{rows[0][key]:.10g}" for key in ("forecast", "actual", "q0.25", "q0.9")),
    ]  # fmt: skip
    assert table.rows[3][5] == ""
    assert first.text.splitlines()[1] == " ".join(f"{value:.4g}" for value in first.values[:, 1])
    (plain,) = model.forecast()
    assert "actual" not in plain.as_json()["forecast"][0]


def test_a_summary_is_about_known_values_of_a_backtest(gaps: Path) -> None:
    model = TrainedForecaster(Run(gaps))
    found = model.backtest()
    rows = [row for one in found for row in one.rows() if row["target"] == "z" and row["actual"] is not None]
    assert len(rows) == 24
    error = np.mean([abs(row["forecast"] - row["actual"]) for row in rows])
    coverage = np.mean([row["q0.1"] <= row["actual"] <= row["q0.9"] for row in rows])
    about_y, about_z = model.summary(found)
    assert about_y.startswith("y: mean absolute error ")
    assert about_z == (
        f"z: mean absolute error {error:,.4g} over 8 forecasts; {coverage:.1%} of the values between q0.1 and q0.9, "
        "expected 80.0%"
    )
    unknown = [one for one in found if one.start in (140, 144)]
    assert [line[:2] for line in model.summary(unknown)] == ["y:"]
    (median_only, *_) = model.summary(model.backtest(quantiles=[0.5]))
    assert median_only.endswith(" over 8 forecasts")
    assert model.summary(model.forecast()) == model.summary([]) == []


def test_charts_are_drawn_only_where_they_are_shown(gaps: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, drawn = TrainedForecaster(Run(gaps)), []
    draw = page.fan_chart
    monkeypatch.setattr(page, "fan_chart", lambda charts: (drawn.append(len(charts)), draw(charts))[1])
    figures = model.figures(model.backtest())
    assert (len(figures), drawn) == (2, [])
    (figure,) = figures[:1]
    assert drawn == [8]
    assert [trace.name for trace in figure.data] == ["0.1 to 0.9", "actual", "forecast"]
    assert figure.layout.title.text == "gaps: y"


def test_several_tables_are_forecast_in_order(gaps: Path, tmp_path: Path) -> None:
    model = TrainedForecaster(Run(gaps))
    other = write(tmp_path / "other.csv", {"y": noise(20), "z": noise(20, seed=8)})
    (one,), (two,) = model.predict([other]), model.forecast()
    found = model.predict([read_table(other), model.options.path])
    assert [forecast.timeline.name for forecast in found] == ["other", "gaps"]
    for alone, together in zip((one, two), found, strict=True):
        np.testing.assert_array_equal(alone.values, together.values)


def test_other_tables_are_evaluated_as_a_whole(gaps: Path, tmp_path: Path) -> None:
    model, notes = TrainedForecaster(Run(gaps)), Notes()
    other = write(tmp_path / "other.csv", {"y": noise(20), "z": noise(20, seed=8)})
    found = model.evaluate(read_table(other), notes)
    assert found == model.evaluate(other)
    assert set(found) == {"model", "persistence", "linear", "mlp"}
    assert found["model"].keys() == {"all"}
    assert notes.lines == [f"{other}: has no splits, so all of it is evaluated; none of it should have been trained on"]
    with pytest.raises(UsageError, match="context: is fixed by the training; other tables are read in the same way"):
        model.evaluate(other, context=3)
    short = write(tmp_path / "short.csv", {"y": noise(12), "z": noise(12, seed=8)})
    with pytest.raises(
        DataError, match=r"short\.csv: expected at least 13 steps, a context and a horizon, got 12; give"
    ):
        model.evaluate(short)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "predict: horizon: expected greater than or equal to 1, got 0"),
        ({"stride": 2}, "predict: stride: expected none without backtest, got 2"),
        ({"quantiles": ["low"]}, "predict: quantiles.0: expected a valid number"),
        ({"quantiles": [0.5, 1.0]}, "quantiles: expected levels between 0 and 1, got "),
        ({"steps": 2}, "predict: steps: unknown key; did you mean 'stride'?"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str, gaps: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        TrainedForecaster(Run(gaps)).forecast(**options)
