"""Forecasting as a task: training, scores against hand-written ones, restoring, and errors for bad series."""

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recurra
from hours import DATA, noise, write, write_four
from recurra.config import resolve
from recurra.data.tables import read_table
from recurra.data.timeline.windows import ForecastWindow, Windows
from recurra.errors import DataError, RunError, UsageError
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks.forecasting import scoring
from recurra.tasks.forecasting.scoring import (
    ErrorMeasures,
    RunningMeans,
    fitting_windows,
    forward_filled,
    quantile_errors,
)
from recurra.tasks.forecasting.task import Forecasting, ForecastingRecipe, to_array
from recurra.tasks.forecasting.trained import TrainedForecaster
from recurra.tasks.task import Scores, check_samples, report, restore


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_four(tmp_path)


ROLES = {"target": ["y", "z"], "covariates_past": ["past"], "covariates_future": ["known"]}


def measures_of(task: Forecasting) -> ErrorMeasures:
    return task.error_measures(task.timelines, task.encoded["train"].spans)


def evaluate(task: Forecasting, split: str) -> tuple[Scores, Any]:
    """Scores on a split, and details."""
    metrics, details = task.evaluate({split: task.held_out()[split]}, Progress())
    return metrics[split], details[split]


def start(path: Path, model: dict[str, Any] | None = None, seed: int = 2, **data: Any) -> Forecasting:
    values = {
        "data": {"path": str(path), **DATA, **data},
        "model": {"hidden_size": [6], **(model or {})},
        "training": {"batch_size": 7},
    }
    torch.manual_seed(seed)
    return Forecasting.start(resolve(ForecastingRecipe, values, {}, "test"), Progress())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A forecaster of a pattern without noise, longer than the context."""
    folder = tmp_path_factory.mktemp("forecasting")
    path = write(folder / "pattern.csv", {"y": 20 + 3 * np.tile(noise(23), 20)})
    return recurra.train(
        "forecasting", path, run=folder / "run", progress=Progress(), **DATA,
        epochs=25, learning_rate=0.02, batch_size=16, hidden_size=[24], head="quantile", quantiles=[0.1, 0.5, 0.9],
    )  # fmt: skip


# --- the whole way -------------------------------------------------------------------------------------------------


def test_learns_what_baselines_cannot(run: Path) -> None:
    metrics = Run(run).read_json("metrics.json")
    assert set(metrics) == {"model", "persistence", "linear", "mlp", "training"}  # a day does not fit into 9 hours
    reached = {name: splits["test"]["mse"] for name, splits in metrics.items() if name != "training"}
    assert reached["model"] < 0.03
    assert reached["model"] < min(reached["linear"], reached["persistence"], reached["mlp"]) / 3
    assert set(metrics["model"]["valid"]) == {*metrics["linear"]["valid"], "coverage", "pinball"}


def test_a_loaded_run_forecasts_the_same(run: Path) -> None:
    model = TrainedForecaster(Run(run))
    assert check_samples(model.task, model.run) < 1e-6
    assert model.evaluate(progress=Progress())["model"] == Run(run).read_json("metrics.json")["model"]
    assert model.evaluate(model.options.path)["model"] == Run(run).read_json("metrics.json")["model"]
    copied = shutil.copy(model.options.path, run.parent / "copied.csv")
    again = model.evaluate(copied)
    assert again["model"]["all"]["mse"] < 0.05
    assert set(again) == {"model", "persistence", "linear", "mlp"}


def test_details_belong_to_the_metrics(run: Path) -> None:
    details, metrics = (Run(run).read_json(name) for name in ("evaluation.json", "metrics.json"))
    for split in ("valid", "test"):
        assert np.mean(details[split]["mse_by_step"]) == pytest.approx(metrics["model"][split]["mse"])
        assert len(details[split]["mse_by_step"]) == 4
        for chart in details[split]["forecasts"]:
            assert [len(chart[name]) for name in ("times", "forecast", "actual")] == [4, 4, 4]
            assert chart["history_times"][-1] < chart["times"][0]
            assert all(low <= middle <= high for low, middle, high in zip(*chart["quantiles"].values(), strict=True))


def test_a_resumed_run_ends_in_the_same_weights(table: Path, tmp_path: Path) -> None:
    options = {**DATA, "epochs": 2, "batch_size": 16, "hidden_size": [5], "decoding": "autoregressive"}
    options |= {"teacher_forcing": 0.5, "output_dropout": 0.2}
    whole = recurra.train("forecasting", table, run=tmp_path / "whole", progress=Progress(), **options)
    parts = recurra.train("forecasting", table, run=tmp_path / "parts", progress=Progress(), steps=9, **options)
    recurra.resume(parts, progress=Progress(), steps=None)
    one, other = (Run(folder).read_tensors("last/checkpoint.safetensors").tensors for folder in (whole, parts))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize(
    ("there", "edited"),
    [
        ("horizon = 4", "horizon = 5"),
        ('scaling = "global"', 'scaling = "window-mean"'),
        ("context = 9", 'context = 9\nresidual = "persistence"'),
        ("context = 9", "context = 9\nseason = 3"),
        ('    "y",', '    "z",'),
        ("calendar = false", "calendar = true"),
        ('missing = "fail"', 'missing = "forward"'),
    ],
)
def test_a_run_whose_recipe_was_edited_is_refused(there: str, edited: str, run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    recipe = (copy / "recipe.toml").read_text()
    assert recipe.count(there) == 1
    restore(Forecasting, Run(copy))
    (copy / "recipe.toml").write_text(recipe.replace(there, edited))
    with pytest.raises(RunError, match=r"recipe\.toml and model\.json describe different models"):
        restore(Forecasting, Run(copy))


def test_gaussian_intervals_are_calibrated_on_gaussian_noise(tmp_path: Path) -> None:
    path = write(tmp_path / "noise.csv", {"y": 7 + 2 * noise(1500)})
    run = recurra.train(
        "forecasting", path, run=tmp_path / "run", progress=Progress(), target="y", context=3, horizon=2,
        head="gaussian", hidden_size=[4], epochs=6, learning_rate=0.02, weight_decay=0.1,
    )  # fmt: skip
    reached = Run(run).read_json("metrics.json")["model"]["test"]
    assert reached["coverage"] == pytest.approx(0.8, abs=0.06)  # of 300 steps: a standard error of 0.02
    assert reached["mse"] == pytest.approx(1, abs=0.2)
    (forecast,) = TrainedForecaster(Run(run)).forecast(quantiles=[0.9, 0.025])
    assert list(forecast.quantiles) == [0.025, 0.9]
    np.testing.assert_allclose(forecast.quantiles[0.9], 7 + 2 * 1.2816, atol=1)
    np.testing.assert_allclose(forecast.quantiles[0.025], 7 - 2 * 1.96, atol=1)


# --- how windows become forecasts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("decoding", ["direct", "autoregressive"])
@pytest.mark.parametrize("residual", [None, "persistence", "season"])
@pytest.mark.parametrize("scaling", ["global", "window-last", "window-mean"])
def test_parameters_are_those_of_the_network_around_the_base_forecast(
    scaling: str, residual: str, decoding: str, table: Path
) -> None:
    """One window by hand, in units of the table from end to end."""
    model = {"decoding": decoding, "head": "gaussian", "cell": "lstm"}
    task = start(table, model, scaling=scaling, residual=residual, season=3, **ROLES)
    window = task.windows("test").window(5)
    found = task.parameters(window.context[:, None], window.future[:, None])[:, 0].detach()  # (horizon, targets, 2)
    data = np.loadtxt(table, delimiter=",", skiprows=1, usecols=(1, 2, 3, 4))
    train = data[:112]  # 0.7 of 160
    z = (data - train.mean(0)) / train.std(0)
    first = 128 + 5
    context, future = z[first - 9 : first].copy(), z[first : first + 4, 3:]
    np.testing.assert_allclose(window.context, context, atol=1e-9)
    center, spread = np.zeros(4), np.ones(4)
    if scaling != "global":
        center[:3] = context[-1, :3] if scaling == "window-last" else context[:, :3].mean(0)
        spread[:3] = context[:, :3].std(0)
    context = (context - center) / spread
    base = {None: np.zeros((4, 2)), "persistence": np.repeat(context[-1:, :2], 4, 0)}
    base["season"] = context[[-3, -2, -1, -3], :2]
    parts = [torch.tensor(part, dtype=torch.float32)[:, None] for part in (context, base[residual], future)]
    raw = task.model(*parts)[:, 0].detach().numpy()
    np.testing.assert_allclose(found[..., 0], raw[..., 0] * spread[:2] + center[:2], atol=1e-5)
    np.testing.assert_allclose(found[..., 1], raw[..., 1] + np.log(spread[:2]), atol=1e-5)


@pytest.mark.parametrize(("cell", "decoding"), [("gru", "direct"), ("mlp", "direct"), ("rnn", "autoregressive")])
@pytest.mark.parametrize("scaling", ["global", "window-mean"])
def test_forecasts_do_not_depend_on_the_batch(scaling: str, cell: str, decoding: str, table: Path) -> None:
    task = start(table, {"cell": cell, "decoding": decoding}, scaling=scaling, **ROLES)
    windows = task.windows("train")
    together = windows.batch(np.arange(20))
    found = task.parameters(together.context, together.future).detach()
    for index in (0, 7, 19):
        one = windows.batch(np.array([index]))
        np.testing.assert_allclose(task.parameters(one.context, one.future)[:, 0].detach(), found[:, index], atol=1e-5)


def test_the_loss_is_normalized_by_the_training_part_whatever_the_scaling(table: Path) -> None:
    for head, scaling in (("point", "window-last"), ("quantile", "global"), ("gaussian", "window-mean")):
        task = start(table, {"head": head}, scaling=scaling, **ROLES)
        batch = task.batches(0)[1]
        parameters = task.parameters(batch.context, batch.future)
        loss, count, _ = task.loss(batch, None)
        assert count == 7
        assert float(loss.detach()) == pytest.approx(
            float(task.head.loss(parameters, torch.tensor(batch.targets, dtype=torch.float32)).detach()), rel=1e-5
        )
    batches = task.batches(3)
    sizes = [batches[index].targets.shape[1] for index in range(len(batches))]
    assert sum(sizes) == len(task.windows("train"))
    assert sizes[:-1] == [7] * (len(sizes) - 1)


def test_later_targets_and_past_covariates_change_no_forecast(table: Path) -> None:
    """Future covariates do."""
    task = start(table, {"decoding": "autoregressive"}, **ROLES)
    windows = task.windows("test")
    batch = windows.batch(np.array([2]))
    before = to_array(task.parameters(batch.context, batch.future))
    (series,), (first,) = windows.locate(np.array([2]))
    task.encoded["test"].scaled[series].data[first:, :3] += 5
    batch = windows.batch(np.array([2]))
    np.testing.assert_array_equal(to_array(task.parameters(batch.context, batch.future)), before)
    task.encoded["test"].scaled[series].data[first:, 3:] += 5
    batch = windows.batch(np.array([2]))
    assert (to_array(task.parameters(batch.context, batch.future)) != before).all()


# --- scores --------------------------------------------------------------------------------------------------------


def test_scores_are_those_of_all_windows_at_once(table: Path) -> None:
    task = start(table, {"head": "quantile", "quantiles": [0.2, 0.5, 0.9]}, **ROLES)
    windows = task.windows("test")
    found, details = evaluate(task, "test")
    batch = windows.batch(np.arange(len(windows)))
    with torch.no_grad():
        quantiles = to_array(task.parameters(batch.context, batch.future))
    quantiles.sort(-1)
    mean, scale = task.normalizer.mean[:2], task.normalizer.scale[:2]
    errors = np.abs(quantiles[..., 1] - batch.targets)
    data = np.loadtxt(table, delimiter=",", skiprows=1, usecols=(1, 2))[:112]
    unit = np.abs(data[24:] - data[:-24]).mean(0)  # a day of hours
    actual, forecast = batch.targets * scale + mean, quantiles[..., 1] * scale + mean
    within = (quantiles[..., 0] <= batch.targets) & (batch.targets <= quantiles[..., 2])
    residuals = batch.targets[..., None] - quantiles
    levels = np.array([0.2, 0.5, 0.9])
    expected = {
        "mse": np.square(errors).mean(),
        "mae": errors.mean(),
        "mae_unscaled": (errors * scale).mean(),
        "mase": (errors * scale / unit).mean(),
        "smape": (200 * np.abs(actual - forecast) / (np.abs(actual) + np.abs(forecast))).mean(),
        "coverage": within.mean(),
        "pinball": np.maximum(levels * residuals, (levels - 1) * residuals).mean(),
    }
    assert found == pytest.approx(expected, rel=1e-4)
    assert details["mse_by_step"] == pytest.approx(np.square(errors).mean((1, 2)), rel=1e-4)
    for chart, index in zip(details["forecasts"], (0, 14, 28), strict=True):
        np.testing.assert_allclose(chart["forecast"], forecast[:, index, 0], rtol=1e-6)
        np.testing.assert_allclose(chart["actual"], actual[:, index, 0], rtol=1e-12)
    assert task.validate(Progress())["mse"] == pytest.approx(evaluate(task, "valid")[0]["mse"])


def test_a_report_runs_the_model_once_on_each_window(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, seen = start(table), []
    forward = task.model.forward
    monkeypatch.setattr(task.model, "forward", lambda *parts: (seen.append(parts[0].shape[1]), forward(*parts))[1])
    report(task, Progress())
    assert sum(seen) == len(task.windows("valid")) + len(task.windows("test"))


def test_means_leave_undefined_errors_out() -> None:
    means = RunningMeans()
    means.add({"mse": np.array([[[1.0], [2.0]], [[3.0], [np.nan]]]), "mase": np.full((2, 2, 1), np.nan)})
    means.add({"mse": np.array([[[5.0]], [[np.nan]]]), "mase": np.full((2, 1, 1), np.nan)})
    assert means.scores() == {"mse": 11 / 4}
    assert means.by_step("mse") == [8 / 3, 3]
    assert means.by_step("mase") == [None, None]


def test_quantile_errors_by_hand() -> None:
    quantiles = np.array([0.0, 1.0, 2.0]).reshape(1, 1, 1, 3)
    targets = np.array([1.5]).reshape(1, 1, 1)
    pinball = (0.1 * 1.5 + 0.5 * 0.5 + 0.1 * 0.5) / 3
    expected = {"coverage": 1.0, "pinball": pinball}
    found = quantile_errors(quantiles, targets, [0.1, 0.5, 0.9])
    assert {name: float(values.squeeze()) for name, values in found.items()} == pytest.approx(expected)
    assert quantile_errors(quantiles, targets + 1, [0.1, 0.5, 0.9])["coverage"] == 0
    assert quantile_errors(quantiles[..., 1:2], targets, [0.5]).keys() == {"pinball"}  # one level covers nothing


def test_a_series_or_target_without_a_mase_does_not_hide_that_of_others(tmp_path: Path) -> None:
    """One that is constant in training, and a series that is shorter than a season."""
    still = write(tmp_path / "still.csv", {"y": noise(160), "z": np.r_[np.ones(112), noise(48)]})
    task = start(still, target=["y", "z"])
    measures = measures_of(task)
    targets, forecast = noise(4, 3, 2), noise(4, 3, 2, seed=5)
    means = RunningMeans()
    means.add(measures.errors(forecast, targets, np.zeros(3, np.int64)))
    y = np.loadtxt(still, delimiter=",", skiprows=1, usecols=1)[:112]
    unit = np.abs(y[24:] - y[:-24]).mean() / y.std()
    assert means.scores()["mase"] == pytest.approx((np.abs(targets - forecast)[..., 0] / unit).mean())
    measures = ErrorMeasures(task.normalizer, task.timelines * 2, [range(24), range(112)], 24)
    errors = measures.errors(forecast, targets, np.array([0, 1, 0]))["mase"]
    assert np.isnan(errors[:, [0, 2]]).all()
    np.testing.assert_allclose(errors[:, 1, 0], np.abs(targets - forecast)[:, 1, 0] / unit)


def test_baselines_read_future_covariates_and_are_scored_as_the_model_is(tmp_path: Path) -> None:
    """y is the future covariate on top of a random walk: a baseline that reads both forecasts almost without error."""
    known = noise(1600)
    walk = np.cumsum(noise(1600, seed=4)) * 0.01
    path = write(tmp_path / "t.csv", {"y": 50 + walk + 3 * known, "known": known})
    task = start(path, covariates_future=["known"], context=25)
    found = {name: splits["test"]["mse"] for name, splits in task.baselines(task.held_out(), Progress()).items()}
    assert list(found) == ["persistence", "seasonal_naive", "linear", "mlp"]
    assert found["linear"] < 0.002
    assert found["mlp"] < 0.3 * found["persistence"]
    windows = task.windows("test")
    batch = windows.batch(np.arange(len(windows)))
    last, day_before = batch.context[-1:, :, :1], batch.context[-24:-20, :, :1]
    assert found["persistence"] == pytest.approx(np.square(batch.targets - last).mean())
    assert found["seasonal_naive"] == pytest.approx(np.square(batch.targets - day_before).mean())
    short = start(path, covariates_future=["known"], context=23)  # hours, less than a day
    assert list(short.baselines(short.held_out(), Progress())) == ["persistence", "linear", "mlp"]


def test_baselines_are_fitted_to_evenly_spaced_windows_where_all_are_too_many(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = start(table, **ROLES).windows("train")  # 9 steps of 4 channels, 4 steps of 2 targets and 1 covariate
    assert len(windows) == 100
    np.testing.assert_array_equal(fitting_windows(windows).context, windows.batch(np.arange(100)).context)
    monkeypatch.setattr(scoring, "MAX_NUMBERS", 4 * 48)
    np.testing.assert_array_equal(fitting_windows(windows).targets, windows.batch(np.array([0, 33, 66, 99])).targets)


# --- values that were filled in ------------------------------------------------------------------------------------


def test_filled_values_count_in_no_loss_and_no_score(tmp_path: Path) -> None:
    """Losses and scores of a series with gaps, computed here from the values that it has."""
    values, generator = noise(160, 2) + 5, np.random.default_rng(2)
    is_empty = generator.random((160, 2)) < 0.3
    is_empty[[0, -1]] = False
    cells = np.where(is_empty, np.nan, values)
    path = write(tmp_path / "t.csv", {"y": cells[:, 0], "z": cells[:, 1]})
    model = {"decoding": "autoregressive", "head": "gaussian"}
    task = start(path, model, target=["y", "z"], missing="interpolate")
    windows = task.windows("test")
    found, details = evaluate(task, "test")
    batch = windows.batch(np.arange(len(windows)))
    _, starts = windows.locate(np.arange(len(windows)))
    actual = np.stack([cells[first : first + 4] for first in starts], 1)  # (horizon, windows, targets)
    forecast = to_array(task.head.point(task.parameters(batch.context, batch.future)))
    mean, scale = task.normalizer.mean, task.normalizer.scale
    squares = np.square((actual - mean) / scale - forecast)
    assert np.isnan(squares).any()
    assert found["mse"] == pytest.approx(np.nanmean(squares), rel=1e-6)
    assert details["mse_by_step"] == pytest.approx(np.nanmean(squares, (1, 2)), rel=1e-6)
    assert details["forecasts"][0]["actual"] == [None if np.isnan(y) else pytest.approx(y) for y in actual[:, 0, 0]]

    batch = task.batches(0)[0]
    losses = []
    for lane in range(7):
        for step, target in np.argwhere(~np.isnan(batch.targets[:, lane])):
            parameters = task.parameters(batch.context, batch.future, forward_filled(batch))[step, lane, target]
            losses.append(float(task.head.loss(parameters, torch.tensor(batch.targets[step, lane, target])).detach()))
    assert np.isnan(batch.targets).any()
    assert float(task.loss(batch, None).mean.detach()) == pytest.approx(np.mean(losses), rel=1e-5)
    batch.targets[:] = np.nan
    assert float(task.loss(batch, None).mean.detach()) == 0

    metrics = report(task, Progress()).metrics
    assert all(np.isfinite(list(splits["test"].values())).all() for splits in metrics.values())
    assert task.check(task.recipe, Progress())["problems"] == [
        f"t: {is_empty.sum()} cells filled in; filled targets do not count in losses and scores"
    ]


def test_teacher_forcing_gets_the_last_known_value_in_a_gap() -> None:
    context = np.array([[[1.0, 10.0, 0.0]], [[2.0, 20.0, 0.0]]])
    targets = np.array([[[np.nan, 30.0]], [[np.nan, np.nan]], [[5.0, np.nan]]])
    filled = forward_filled(ForecastWindow(context, targets, np.empty((3, 1, 0))))
    assert filled[:, 0].tolist() == [[2, 30], [2, 30], [5, 30]]


# --- data ----------------------------------------------------------------------------------------------------------


def test_check_counts_steps_windows_and_flaws(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", {"y": noise(100), "flat": np.full(100, 3.5)})
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:30], *lines[33:]]) + "\n")
    recipe = resolve(ForecastingRecipe, {"data": {"path": str(path), **DATA, "covariates_past": ["flat"]}}, {}, "test")
    found = Forecasting.check(recipe, Progress())
    assert found["series"]["t"] == {"steps": 97, "dropped": 0, "gaps": 1, "absent": 3, "irregular": 0, "filled": 0}
    assert {split: row["steps"] for split, row in found["splits"].items()} == {"train": 68, "valid": 10, "test": 19}
    assert found["splits"]["test"]["windows"] == 19 - 4 + 1
    assert len(found["problems"]) == 2
    assert found["problems"][0] == "t: 3 steps missing (1 hour each); windows span such gaps"
    assert found["problems"][1] == "t: constant in the training part: flat"


def test_check_counts_one_as_one_and_reads_the_table_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recurra.data.timeline import timeline

    reads = []
    monkeypatch.setattr(timeline, "read_table", lambda path: (reads.append(path), read_table(path))[1])
    path = write(tmp_path / "t.csv", {"y": noise(100)})
    lines = path.read_text().splitlines()
    for missing, rows, problem in (
        ("fail", [*lines[:30], *lines[31:]], "t: 1 step missing (1 hour each)"),
        ("forward", [*lines[:30], *lines[31:]], "t: 1 cell filled in; filled targets"),
        ("fail", [*lines, "2020-01-05T04:30:00,1"], "t: 1 timestamp not a whole number of steps (1 hour each)"),
    ):
        path.write_text("\n".join(rows) + "\n")
        recipe = resolve(ForecastingRecipe, {"data": {"path": str(path), **DATA, "missing": missing}}, {}, "test")
        (found,) = Forecasting.check(recipe, Progress())["problems"]
        assert found.startswith(problem)
    assert len(reads) == 3


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (
            {"context": 158},
            DataError,
            r"table\.csv: 160 steps, expected at least 162, a context of 158 and a horizon of 4",
        ),
        ({"horizon": 17}, DataError, r"table\.csv: the valid part holds 16 steps, no window of horizon 17"),
        ({"residual": "season"}, UsageError, "season needs a context of at least a season, 24 steps, got 9; choose"),
        ({"target": ["x"]}, DataError, "no column 'x'"),
        ({"scaling": "window"}, UsageError, "data.scaling: expected"),
        ({"horizon": 0}, UsageError, "data.horizon: expected"),
    ],
)
def test_impossible_options_are_refused(data: dict[str, Any], kind: type[Exception], message: str, table: Path) -> None:
    with pytest.raises(kind, match=message):
        start(table, **data)


def test_a_highway_longer_than_the_context_is_refused(table: Path) -> None:
    with pytest.raises(UsageError, match=r"model\.highway of at most the context, 9 steps"):
        start(table, {"highway": 10})


def test_a_run_is_restored_without_its_data(table: Path, tmp_path: Path) -> None:
    run = recurra.train(
        "forecasting", table, run=tmp_path / "run", progress=Progress(), **ROLES, context=9, horizon=4,
        epochs=1, hidden_size=[5], calendar=True, season=5, residual="season",
    )  # fmt: skip
    task = restore(Forecasting, Run(run))
    assert task.shape.channels[:4] == ("y", "z", "past", "known")
    assert (task.shape.num_targets, task.shape.num_known, task.shape.season) == (2, 9, 5)
    assert str(task.shape.step) == "1 hour"
    table.unlink()  # samples need no data
    Run(run).load_weights(task.model)
    assert check_samples(task, Run(run)) < 1e-6
    assert not task.timelines
    assert not task.encoded


def test_only_training_windows_have_a_stride(table: Path) -> None:
    task = start(table, stride=3)
    sizes = {split: len(task.windows(split)) for split in ("train", "valid", "test")}
    assert sizes == {"train": math.ceil((112 - 9 - 4 + 1) / 3), "valid": 16 - 4 + 1, "test": 32 - 4 + 1}
    assert isinstance(task.windows("test"), Windows)
