"""Runs side by side: chart and table hold the numbers of the runs, and only what belongs together is compared."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import recurra
from recurra.cli.compare import compare
from recurra.errors import RunError, UsageError
from recurra.inspection.comparison import (
    compare_runs,
    curves_figure,
    final_metrics,
    read_compared_runs,
    share_data,
)
from recurra.progress import Progress
from recurra.runs import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that hardly learned: of adding with two cells and of another length, and of copying."""
    folder = tmp_path_factory.mktemp("runs")
    for name, problem, options in [
        ("gru", "adding", {"cell": "gru", "epochs": 3}),
        ("elman <tanh>", "adding", {"cell": "rnn", "epochs": 2, "train_size": 30}),
        ("longer", "adding", {"length": 9}),
        ("copying", "copy", {}),
    ]:
        given = {"length": 8, "train_size": 20, "held_out_size": 11, "hidden_size": 4, "epochs": 1, **options}
        recurra.train("long-memory", problem, run=folder / name, progress=Progress(), **given)
    return folder


def pair(folder: Path) -> list[Path]:
    return [folder / "gru", folder / "elman <tanh>"]


def test_a_line_for_each_run_and_a_level_for_each_baseline(folder: Path) -> None:
    figure = curves_figure(read_compared_runs(pair(folder)))
    *lines, level = figure.data
    assert [line.name for line in figure.data] == ["gru", "elman &lt;tanh&gt;", "always_1 (baseline)"]
    for line, run in zip(lines, pair(folder), strict=True):
        rows = Run(run).read_rows("history.jsonl")
        assert list(line.x) == list(range(1, len(rows) + 1))
        assert list(line.y) == [row["valid_mse"] for row in rows]
    assert list(level.x) == [1, 3]
    assert list(level.y) == [Run(folder / "gru").read_json("metrics.json")["always_1"]["valid"]["mse"]] * 2
    assert figure.layout.yaxis.type == "log"


def test_what_is_better_when_higher_is_not_drawn_on_a_logarithmic_axis(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder / "copying", tmp_path / "other")
    figure = curves_figure(read_compared_runs([folder / "copying", other]))
    assert figure.layout.yaxis.type == "linear"
    assert figure.layout.yaxis.title.text == "accuracy"


def test_an_error_of_nothing_is_not_drawn_on_a_logarithmic_axis(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder / "gru", tmp_path / "other"))
    rows = Run(other).read_rows("history.jsonl")
    Run(other).write("history.jsonl", [{**rows[0], "valid_mse": 0.0}])
    assert curves_figure(read_compared_runs([folder / "gru", other])).layout.yaxis.type == "linear"


def test_the_page_has_the_test_figures_and_needs_nothing_else(folder: Path, tmp_path: Path) -> None:
    page = compare_runs(pair(folder), tmp_path / "deep" / "page.html")
    text = page.read_text(encoding="utf-8")
    assert "<h1>long-memory: mse of 2 runs</h1>" in text
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", text)
    cells = [re.split("<td>", row)[1:] for row in text[text.index("<table>") :].split("<tr>")[2:]]
    metrics = [Run(run).read_json("metrics.json") for run in pair(folder)]
    expected = [metrics[0]["model"], metrics[1]["model"], metrics[0]["always_1"]]
    assert [row[0] for row in cells] == ["gru", "elman &lt;tanh&gt;", "always_1 (baseline)"]
    for row, splits in zip(cells, expected, strict=True):
        assert float(row[1]) == pytest.approx(splits["test"]["mse"], rel=1e-3)
        assert row[3].startswith("11")
    assert "not evaluated on the same data" not in text


def test_other_data_is_told_and_its_baselines_left_out(folder: Path, tmp_path: Path) -> None:
    runs = [folder / "gru", folder / "longer"]
    compared = read_compared_runs(runs)
    assert not share_data(compared)
    assert list(final_metrics(compared)) == ["gru", "longer"]
    assert [line.name for line in curves_figure(compared).data] == ["gru", "longer"]
    assert "not evaluated on the same data" in compare_runs(runs, tmp_path / "page.html").read_text(encoding="utf-8")


def test_runs_of_one_name_are_told_by_their_folders(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder / "gru", tmp_path / "gru")
    compared = read_compared_runs([folder / "gru", other, folder / "elman <tanh>"])
    assert [one.name for one in compared] == [str(folder / "gru"), str(other), "elman <tanh>"]


def test_what_cannot_be_compared(folder: Path, tmp_path: Path, tiny_run: Path) -> None:
    page = tmp_path / "page.html"
    with pytest.raises(UsageError, match=r"gru of long-memory with mse and .*copying of long-memory with accuracy"):
        compare_runs([folder / "gru", folder / "copying"], page)
    with pytest.raises(UsageError, match=r"of language-modelling with perplexity and .*gru of long-memory with mse"):
        compare_runs([tiny_run, folder / "gru"], page)
    for few in ([], [folder / "gru"], [folder / "gru", f"{folder}/copying/../gru"]):
        with pytest.raises(UsageError, match="expected at least two runs, each once"):
            compare_runs(few, page)
    with pytest.raises(RunError, match="no such folder"):
        compare_runs([folder / "gru", folder / "nothing"], page)
    unfinished = Path(shutil.copytree(folder / "gru", tmp_path / "unfinished"))
    (unfinished / "metrics.json").unlink()
    with pytest.raises(RunError, match=r"unfinished: not finished, .* recurra train --resume .*unfinished"):
        compare_runs([folder / "gru", unfinished], page)
    assert not page.exists()


def test_the_command_prints_what_the_page_shows(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(run) for run in pair(folder)]
    page = tmp_path / "page.html"
    compare(runs, str(page), as_json=True)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (found["primary_metric"], found["split"], found["page"]) == ("mse", "test", str(page))
    assert found["metrics"] == final_metrics(read_compared_runs(runs))
    assert page.exists()
    compare(runs, str(page))
    printed = capsys.readouterr().out
    for who, metrics in found["metrics"].items():
        assert re.search(rf"{re.escape(who)} +{metrics['mse']:.4g}", printed)
    assert printed.endswith(f"chart {page}\n")
