"""Every task from the command line: trained, looked at, used and judged, for people and for programs."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra
from recurra.errors import ShapeError, UsageError
from recurra.tasks import TASKS

SMALL = ["--hidden-size", "12", "--epochs", "3", "--learning-rate", "0.02", "--quiet"]
CITIES, TOWNS = ("rome", "oslo", "lima"), ("york", "bath", "ulm")


@pytest.mark.parametrize("task", [task for task in TASKS.values() if hasattr(task, "may_differ")])
def test_keys_in_which_other_data_may_differ_are_keys_of_data(task: Any) -> None:
    fields = task.recipe_type.model_fields["data"].annotation.model_fields
    assert set(task.may_differ) <= set(fields) - {"path"}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Labelled texts, in which one word decides."""
    rows = [f"the {place} is number {n},{kind}" for kind, names in (("city", CITIES), ("town", TOWNS))
            for n in range(20) for place in names]  # fmt: skip
    path = tmp_path / "places.csv"
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    """Tagged sentences in columns."""
    blocks = [f"go O\nto O\n{place} B-{kind}\nno{n} O\n" for kind, names in (("city", CITIES), ("town", TOWNS))
              for n in range(20) for place in names]  # fmt: skip
    path = tmp_path / "trips.txt"
    path.write_text("\n".join(blocks))
    return path


@pytest.fixture
def waves(tmp_path: Path) -> Path:
    """A table of hours with the wave of a day in it."""
    hours = np.arange(24 * 30)
    times = np.datetime64("2021-03-01T00", "h") + hours
    values = 10 + 3 * np.sin(2 * np.pi * hours / 24)
    path = tmp_path / "waves.csv"
    path.write_text("\n".join(["time,level", *(f"{t},{v:.4f}" for t, v in zip(times, values, strict=True))]) + "\n")
    return path


def refuse_lost_lines(command: Any, run: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    """Each text must have its answer, an empty one null or nothing: as argument, in a file, on standard input."""
    given = ["go to rome", "", "  ", "to bath"]
    file = folder / "lines.txt"
    file.write_text("".join(f"{line}\n" for line in given))
    for arguments in (given, ["--file", file], []):
        monkeypatch.setattr("sys.stdin", io.StringIO(file.read_text()))
        answers = command("predict", run, *arguments, *options, "--json").json_lines
        assert [answer is None for answer in answers] == [False, True, True, False]
    shown = command("predict", run, *given, *options)
    assert [word for word in ("rome", "bath") if word in shown.out] == ["rome", "bath"]


def test_a_classifier(recurra_command: Any, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    assert recurra_command("train", "classification", texts, "--run", run, *SMALL).code == 0
    assert (run / "evaluation.html").exists()
    labelled = recurra_command("predict", run, "the rome is number 3", "the bath is number 4", "--json").json_lines
    assert [row["label"] for row in labelled] == ["city", "town"]
    found = recurra_command("predict", run, "--file", texts, "--json").json_lines
    assert len(found) == 120
    lines = tmp_path / "places.txt"
    lines.write_text("".join(f"{row['label']}\t{row['input']}\n" for row in found[:2]))
    again = recurra_command("predict", run, "--file", lines, "--json").json_lines
    assert [row["input"] for row in again] == [row["input"] for row in found[:2]]
    assert [row["probability"] for row in again] == pytest.approx([row["probability"] for row in found[:2]], abs=1e-6)
    assert "probability" in recurra_command("predict", run, "the ulm is number 9").out
    refuse_lost_lines(recurra_command, run, tmp_path, monkeypatch)
    metrics = recurra_command("evaluate", run, "--json", "--quiet").json
    assert set(metrics) == {"model", "majority", "linear", "mlp"}
    assert metrics["model"]["test"]["accuracy"] == 1
    assert recurra_command("info", run, "--check").code == 0


def test_a_tagger(recurra_command: Any, sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    assert recurra_command("train", "tagging", sentences, "--run", run, *SMALL).code == 0
    (found,) = recurra_command("predict", run, "go to lima", "--json").json_lines
    assert found["tokens"] == ["go", "to", "lima"]
    assert found["tags"] == ["O", "O", "B-city"]
    assert found["spans"] == [{"type": "city", "start": 2, "stop": 3}]
    assert all(0 < p <= 1 for p in found["probabilities"])
    lines = tmp_path / "new.txt"
    lines.write_text("to bath\n\ngo to oslo\n")
    outcome = recurra_command("predict", run, "--file", lines)
    assert [word for word in ("bath", "B-town", "oslo", "B-city") if word not in outcome.out] == []
    tagged = recurra_command("predict", run, "--file", sentences, "--json").json_lines
    assert [row["tokens"] for row in tagged[:2]] == [["go", "to", "rome", "no0"], ["go", "to", "oslo", "no0"]]
    refuse_lost_lines(recurra_command, run, tmp_path, monkeypatch)
    assert recurra_command("predict", run, "").out == "\n"
    hinted = recurra_command("predict", run, lines)
    assert (hinted.code, f"for the texts in it: --file {lines}" in hinted.err) == (0, True)
    metrics = recurra_command("evaluate", run, "--json", "--quiet").json
    assert metrics["model"]["test"]["span_f1"] == 1
    assert set(metrics) == {"model", "majority", "word", "linear", "mlp"}
    assert recurra_command("info", run, "--check").code == 0
    assert "Worst errors" in (run / "evaluation.html").read_text()


def test_a_forecaster(recurra_command: Any, waves: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "next.csv"
    shape = ["--target", "level", "--context", "30", "--horizon", "6", "--head", "quantile", "--run", run]
    assert recurra_command("train", "forecasting", waves, *shape, *SMALL).code == 0
    outcome = recurra_command("forecast", run, waves, "--horizon", "8", "--out", out)
    assert (outcome.code, outcome.out) == (0, "")
    assert str(run / "forecast.html") in outcome.err
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["time"] for row in rows] == [f"2021-03-31T{hour:02}:00:00" for hour in range(8)]
    assert rows[0].keys() == {"series", "target", "made_at", "time", "forecast", "q0.1", "q0.5", "q0.9"}
    assert all(float(row["q0.1"]) <= float(row["forecast"]) <= float(row["q0.9"]) for row in rows)
    direct = recurra.load(run).forecast(waves, 8)[0]  # type: ignore[union-attr]
    np.testing.assert_allclose([float(row["forecast"]) for row in rows], direct.values[:, 0], rtol=1e-5)
    backtest = recurra_command("forecast", run, "--backtest", "--quantiles", "0.5")
    first = next(csv.DictReader(io.StringIO(backtest.out)))
    assert {"actual", "q0.5"} <= first.keys()
    assert "level: mean absolute error" in backtest.err
    assert "between q" not in backtest.err
    told = recurra_command("forecast", run, "--backtest", "--quantiles", "0.2,0.5,0.7")
    rows = list(csv.DictReader(io.StringIO(told.out)))
    covered = np.mean([float(row["q0.2"]) <= float(row["actual"]) <= float(row["q0.7"]) for row in rows])
    assert f"forecasts; {covered:.1%} of the values between q0.2 and q0.7, expected 50.0%\n" in told.err
    as_json = recurra_command("forecast", run, "--backtest", "--quantiles", "0.2,0.5,0.7", "--json").json
    assert as_json["coverage"] == {"level": covered}
    assert len(recurra_command("forecast", run, waves, "--json").json["forecast"]) == 6
    metrics = recurra_command("evaluate", run, "--json", "--quiet").json
    assert set(metrics) == {"model", "persistence", "seasonal_naive", "linear", "mlp"}
    assert metrics["seasonal_naive"]["test"]["mse"] < 1e-6
    assert json.loads((run / "evaluation.json").read_text())["test"]["fans"]


def test_forecasts_of_large_numbers_of_series_of_all_lengths_with_gaps(recurra_command: Any, tmp_path: Path) -> None:
    hours = np.datetime64("2021-03-01T00", "h") + np.arange(100)
    values = [f"{123456789 + step % 7}" if step % 9 else "" for step in range(100)]
    values[0] = "123456789"
    rows = [f"{hour},a,{value}" for hour, value in zip(hours, values, strict=True)]
    path = tmp_path / "meters.csv"
    path.write_text("\n".join(["time,meter,level", *rows, *(f"{hour},b,1" for hour in hours[:5])]) + "\n")
    run = tmp_path / "run"
    shape = ["--target", "level", "--series-column", "meter", "--context", "8", "--horizon", "6", "--run", run]
    assert recurra_command("train", "forecasting", path, *shape, "--missing", "forward", *SMALL).code == 0
    outcome = recurra_command("forecast", run)
    assert outcome.code == 0
    assert "1 of 2 series is too short and left out: b" in outcome.err
    told = [float(row["forecast"]) for row in csv.DictReader(io.StringIO(outcome.out))]
    exact = [row["forecast"] for row in recurra_command("forecast", run, "--json").json["forecast"]]
    np.testing.assert_allclose(told, exact, rtol=1e-9)
    backtest = recurra_command("forecast", run, "--backtest")
    actual = [row["actual"] for row in csv.DictReader(io.StringIO(backtest.out))]
    assert actual == values[80:98]
    as_json = recurra_command("forecast", run, "--backtest", "--json").json
    assert [row["actual"] for row in as_json["forecast"]] == [float(value) if value else None for value in actual]
    errors = [abs(row["forecast"] - row["actual"]) for row in as_json["forecast"] if row["actual"]]
    assert as_json["mae"]["level"] == pytest.approx(np.mean(errors))


def test_what_a_run_is_not_for(recurra_command: Any, texts: Path, waves: Path, tmp_path: Path) -> None:
    labels, levels = tmp_path / "labels", tmp_path / "levels"
    assert recurra_command("train", "classification", texts, "--run", labels, *SMALL).code == 0
    shape = ["--target", "level", "--context", "30", "--horizon", "6", "--run", levels]
    assert recurra_command("train", "forecasting", waves, *shape, *SMALL).code == 0
    for arguments, message in (
        (["forecast", labels], "forecasts nothing, its task is classification; see recurra predict"),
        (["predict", levels, "text"], "goes on from tables; see recurra forecast"),
        (["predict", labels, "--score", "text"], "is no language model"),
        (["generate", labels], "classification"),
        (["forecast", levels, waves, "--quantiles", "0.1"], "the run forecasts points"),
        (["forecast", levels, "--quantiles", "low"], "expected numbers between 0 and 1"),
        (["forecast", levels, "--json", "--out", "x.csv"], "leave one of them out"),
    ):
        outcome = recurra_command(*arguments)
        assert message in outcome.err
        assert (outcome.code, outcome.out) == (2, "")


def test_each_text_has_a_score(recurra_command: Any, tiny_run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    refuse_lost_lines(recurra_command, tiny_run, tmp_path, monkeypatch, "--score")


def test_what_one_might_mistake(
    recurra_command: Any, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, series = tmp_path / "labels", tmp_path / "series"
    assert recurra_command("train", "classification", texts, "--run", labels, *SMALL).code == 0
    hinted = recurra_command("predict", labels, texts)
    assert (hinted.code, f"for the texts in it: --file {texts}" in hinted.err) == (0, True)
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(1).normal(size=(40, 5, 2)), y=["a", "b"] * 20)
    assert recurra_command("train", "classification", tmp_path / "x.npz", "--run", series, *SMALL).code == 0
    outcome = recurra_command("predict", series)
    assert (outcome.code, "reads series; name their files" in outcome.err) == (2, True)
    folder = tmp_path / ("folder" * 20)
    folder.mkdir()
    np.savez(folder / "new.npz", x=np.zeros((2, 5, 2)))
    monkeypatch.setenv("COLUMNS", "200")
    told = recurra_command("predict", series, folder / "new.npz").out
    assert [number for number in (1, 2) if f"/new.npz series {number} " in told] == [1, 2]
    assert "did you mean classification?" in recurra_command("train", "clasification", texts).err
    for run in (labels, series):
        with pytest.raises(UsageError, match="expected a list, got one text"):
            recurra.load(run).predict("great")
    with pytest.raises(ShapeError, match=r"expected measurements \(time, channels\), got 'a'"):
        recurra.load(series).predict(["a"])


def test_several_seeds_end_with_a_verdict(recurra_command: Any, texts: Path, tmp_path: Path) -> None:
    options = ["--seeds", "2", "--epochs", "1", "--hidden-size", "2", "--learning-rate", "1e-9"]
    outcome = recurra_command("train", "classification", texts, "--run", tmp_path / "runs", *options)
    assert outcome.code == 0
    mean, linear = (json.loads((tmp_path / "runs/seeds.json").read_text())[who]["test"]["accuracy"]["mean"]
                    for who in ("model", "linear"))  # fmt: skip
    told = " ".join(outcome.out.split())
    assert f"On test the model does NOT beat the linear baseline: accuracy {mean:.4g} against {linear:.4g}." in told
    assert told.endswith(f"mean ± deviation over 2 seeds; runs {tmp_path}/runs/seed-*")
    outcome = recurra_command("info", tmp_path / "runs")
    assert outcome.code == 3
    assert f"holds runs of several seeds; name one, {tmp_path}/runs/seed-N" in outcome.err
