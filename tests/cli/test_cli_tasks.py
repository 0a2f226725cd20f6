"""Every task from the command line: trained, looked at, used and evaluated, for people and for programs."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import QUICK, write_places

import recurra
from recurra.errors import ShapeError, UsageError
from recurra.tasks import TASKS

BASELINES = {
    "language-modelling": {"unigram", "trigram"},
    "classification": {"majority", "linear", "mlp"},
    "tagging": {"majority", "word", "linear", "mlp"},
    "forecasting": {"persistence", "seasonal_naive", "linear", "mlp"},
    "translation": {"copy", "word_by_word"},
    "captioning": {"frequent", "nearest"},
    "speech": {"frequent", "nearest"},
}
PAGES = {  # by task: what stands on the page of its evaluation
    "classification": "Worst errors",
    "tagging": "Worst errors",
    "translation": "Lowest scores",
    "captioning": "Lowest scores",
    "speech": "Lowest scores",
}


@pytest.mark.parametrize("entry", TASKS.values(), ids=TASKS)
def test_keys_in_which_other_data_may_differ_are_keys_of_data(entry: Any) -> None:
    fields = entry.task.recipe_type.model_fields["data"].annotation.model_fields
    assert set(getattr(entry.task, "other_data_keys", ())) <= set(fields) - {"path"}


@pytest.mark.parametrize("task", TASKS)
def test_a_run_is_evaluated_and_checked(recurra_command: Any, small_run: Callable[[str], Any], task: str) -> None:
    run = small_run(task).run
    metrics = recurra_command("evaluate", run, "--json", "--quiet").json
    assert set(metrics) >= {"model", *BASELINES.get(task, ())}
    assert task not in BASELINES or set(metrics) == {"model", *BASELINES[task]}
    said = recurra_command("evaluate", run, "--quiet")
    assert (said.code, said.err) == (0, "")
    assert "On test the model " in said.out
    outcome = recurra_command("info", run, "--check")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Samples computed again: they agree, largest deviation " in " ".join(outcome.out.split())
    assert (run / "evaluation.html").exists() == (TASKS[task].name in {*PAGES, "forecasting"})
    if task in PAGES:
        assert PAGES[task] in (run / "evaluation.html").read_text()


def test_a_classifier(recurra_command: Any, small_run: Callable[[str], Any], tmp_path: Path) -> None:
    run, texts = small_run("classification")
    labelled = recurra_command("predict", run, "the rome is number 3", "the bath is number 4", "--json").json_lines
    assert [row["label"] for row in labelled] == ["city", "town"]
    assert all(row["probabilities"][row["label"]] == row["probability"] for row in labelled)
    found = recurra_command("predict", run, "--file", texts, "--json").json_lines
    assert len(found) == 120
    lines = tmp_path / "places.txt"
    lines.write_text("".join(f"{row['label']}\t{row['input']}\n" for row in found[:2]))
    again = recurra_command("predict", run, "--file", lines, "--json").json_lines
    assert [row["input"] for row in again] == [row["input"] for row in found[:2]]
    assert [row["probability"] for row in again] == pytest.approx([row["probability"] for row in found[:2]], abs=1e-6)
    assert "probability" in recurra_command("predict", run, "the ulm is number 9").out
    metrics = recurra_command("evaluate", run, "--json", "--quiet").json
    assert metrics["model"]["test"]["accuracy"] == 1


def test_a_tagger(recurra_command: Any, small_run: Callable[[str], Any], tmp_path: Path) -> None:
    run, sentences = small_run("tagging")
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
    assert recurra_command("predict", run, "").out == "\n"
    metrics = recurra_command("evaluate", run, "--json", "--quiet").json
    assert metrics["model"]["test"]["span_f1"] == 1


def test_a_forecaster(recurra_command: Any, small_run: Callable[[str], Any], tmp_path: Path) -> None:
    (run, waves), out = small_run("forecasting"), tmp_path / "next.csv"
    outcome = recurra_command("forecast", run, waves, "--horizon", "8", "--out", out)
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == f"answers {out}\nchart {run / 'forecast.html'}\n"
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["time"] for row in rows] == [f"2021-03-31T{hour:02}:00:00" for hour in range(8)]
    assert rows[0].keys() == {"series", "target", "made_at", "time", "forecast", "q0.1", "q0.5", "q0.9"}
    assert all(float(row["q0.1"]) <= float(row["forecast"]) <= float(row["q0.9"]) for row in rows)
    (direct,) = recurra.load(run).forecast(waves, horizon=8)
    np.testing.assert_allclose([float(row["forecast"]) for row in rows], direct.values[:, 0], rtol=1e-5)
    assert recurra_command("predict", run, waves, "--horizon", "8").out == out.read_text()
    metrics = recurra_command("evaluate", run, "--json", "--quiet").json
    assert metrics["seasonal_naive"]["test"]["mse"] < 1e-6
    assert json.loads((run / "evaluation.json").read_text())["test"]["forecasts"]


def test_a_backtest(recurra_command: Any, small_run: Callable[[str], Any]) -> None:
    run = small_run("forecasting").run
    backtest = recurra_command("forecast", run, "--backtest", "--quantiles", "0.5")
    first = next(csv.DictReader(io.StringIO(backtest.out)))
    assert {"actual", "q0.5"} <= first.keys()
    assert "level: mean absolute error" in backtest.err
    assert "between q" not in backtest.err
    told = recurra_command("forecast", run, "--backtest", "--quantiles", "0.2,0.5,0.7", "--no-plot")
    rows = list(csv.DictReader(io.StringIO(told.out)))
    covered = np.mean([float(row["q0.2"]) <= float(row["actual"]) <= float(row["q0.7"]) for row in rows])
    assert f"forecasts; {covered:.1%} of the values between q0.2 and q0.7, expected 50.0%\n" in told.err
    assert "chart" not in told.err
    as_json = recurra_command("forecast", run, "--backtest", "--quantiles", "0.2,0.5,0.7", "--json")
    blocks = as_json.json_lines
    assert [len(block["forecast"]) for block in blocks] == [6] * (len(rows) // 6)
    assert [row["q0.2"] for block in blocks for row in block["forecast"]] == pytest.approx(
        [float(row["q0.2"]) for row in rows], rel=1e-9
    )
    assert f"{covered:.1%} of the values" in as_json.err


def test_forecasts_of_large_numbers_of_series_of_all_lengths_with_gaps(recurra_command: Any, tmp_path: Path) -> None:
    hours = np.datetime64("2021-03-01T00", "h") + np.arange(100)
    values = [f"{123456789 + step % 7}" if step % 9 else "" for step in range(100)]
    values[0] = "123456789"
    rows = [f"{hour},a,{value}" for hour, value in zip(hours, values, strict=True)]
    path = tmp_path / "meters.csv"
    path.write_text("\n".join(["time,meter,level", *rows, *(f"{hour},b,1" for hour in hours[:5])]) + "\n")
    run = tmp_path / "run"
    shape = ["--target", "level", "--series-column", "meter", "--context", "8", "--horizon", "6", "--run", run]
    assert (
        recurra_command("train", "forecasting", path, *shape, "--missing", "forward", *QUICK.split(), "--quiet").code
        == 0
    )
    outcome = recurra_command("forecast", run)
    assert outcome.code == 0
    assert "1 of 2 series is too short and left out: b" in outcome.err
    told = [float(row["forecast"]) for row in csv.DictReader(io.StringIO(outcome.out))]
    (exact,) = recurra_command("forecast", run, "--json").json_lines
    assert exact["series"] == "a"
    np.testing.assert_allclose(told, [row["forecast"] for row in exact["forecast"]], rtol=1e-9)
    backtest = recurra_command("forecast", run, "--backtest")
    rows = list(csv.DictReader(io.StringIO(backtest.out)))
    actual = [row["actual"] for row in rows]
    assert actual == values[80:98]
    blocks = recurra_command("forecast", run, "--backtest", "--json").json_lines
    assert [row["actual"] for block in blocks for row in block["forecast"]] == [
        float(value) if value else None for value in actual
    ]
    rows = [row for block in blocks for row in block["forecast"] if row["actual"] is not None]
    errors = [abs(row["forecast"] - row["actual"]) for row in rows]
    assert f"level: mean absolute error {np.mean(errors):,.4g} over {len(blocks)} forecasts" in backtest.err


def test_sequences_of_a_memory_problem(recurra_command: Any, small_run: Callable[[str], Any], tmp_path: Path) -> None:
    run, file = small_run("long-memory").run, tmp_path / "sequences.jsonl"
    file.write_text("[[0.5, 1], [0.1, 0], [0.25, 1]]\n[[0.5, 1], [0.25, 1]]\n")
    rows = recurra_command("predict", run, file, "--json").json_lines
    assert [row["input"] for row in rows] == [f"{file} line 1", f"{file} line 2"]
    assert recurra_command("predict", run, file).out == "".join(f"{row['answer']:.4f}\n" for row in rows)
    file.write_text("[[0.5, 1]]\nhalf\n")
    outcome = recurra_command("predict", run, file)
    assert (outcome.code, outcome.out.count("\n")) == (3, 1)
    assert f"{file} line 2: expected a JSON array, got 'half'" in outcome.err


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("tagging", ["predict", "--score", "text"], "--score: unknown option"),
        ("classification", ["predict", "--top", "3", "text"], "--top: unknown option"),
        ("forecasting", ["forecast", "--quantiles", "low"], "quantiles.0: expected a valid number"),
        ("forecasting", ["forecast", "--quantiles", "0.1,1.5"], "expected levels from 0.1 to 0.9, the range"),
        ("forecasting", ["forecast", "--horizon", "0"], "horizon: expected greater than or equal to 1, got 0"),
    ],
)
def test_what_a_run_is_not_for(
    recurra_command: Any, small_run: Callable[[str], Any], task: str, arguments: list[str], message: str
) -> None:
    verb, *options = arguments
    outcome = recurra_command(verb, small_run(task).run, *options)
    assert message in outcome.err
    assert (outcome.code, outcome.out) == (2, "")


def test_a_forecaster_of_points_has_no_quantiles(recurra_command: Any, small_run: Any, tmp_path: Path) -> None:
    shape = ["--target", "level", "--context", "30", "--horizon", "6", "--run", tmp_path / "run", "--steps", "2"]
    waves = small_run("forecasting").data
    assert recurra_command("train", "forecasting", waves, *shape, *QUICK.split(), "--quiet").code == 0
    outcome = recurra_command("forecast", tmp_path / "run", waves, "--quantiles", "0.1")
    assert (outcome.code, outcome.out) == (2, "")
    assert "the run forecasts points" in outcome.err


def test_each_text_has_a_score(
    recurra_command: Any, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["the cat sees a stone", "", "  ", "nobody hears"]
    file = tmp_path / "lines.txt"
    file.write_text("".join(f"{line}\n" for line in given))
    for arguments in (given, ["--file", file], []):
        monkeypatch.setattr("sys.stdin", io.StringIO(file.read_text()))
        answers = recurra_command("predict", tiny_run, *arguments, "--score", "--json").json_lines
        assert [answer is None for answer in answers] == [False, True, True, False]
    shown = recurra_command("predict", tiny_run, *given, "--score")
    assert [word for word in ("stone", "nobody") if word in shown.out] == ["stone", "nobody"]
    assert shown.out.count("log-probability") == 1


def test_what_one_might_mistake(
    recurra_command: Any, small_run: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (labels, texts), series = small_run("classification"), small_run("series").run
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
    with pytest.raises(ShapeError, match=r"expected measurements \(time, channels\), got an array \(5,\)"):
        recurra.load(series).predict([np.zeros(5)])


def test_several_seeds_end_with_a_verdict(recurra_command: Any, tmp_path: Path) -> None:
    options = ["--seeds", "2", "--epochs", "1", "--hidden-size", "2", "--learning-rate", "1e-9"]
    outcome = recurra_command("train", "classification", write_places(tmp_path), "--run", tmp_path / "runs", *options)
    assert outcome.code == 0
    mean, linear = (json.loads((tmp_path / "runs/seeds.json").read_text())[who]["test"]["accuracy"]["mean"]
                    for who in ("model", "linear"))  # fmt: skip
    told = " ".join(outcome.out.split())
    assert f"On test the model does NOT beat the linear baseline: accuracy {mean:.4g} against {linear:.4g}." in told
    assert told.endswith(f"mean ± deviation over 2 seeds; runs {tmp_path}/runs/seed-*")
    outcome = recurra_command("info", tmp_path / "runs")
    assert outcome.code == 3
    assert f"holds runs of several seeds; name one, {tmp_path}/runs/seed-N" in outcome.err
