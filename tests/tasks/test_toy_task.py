"""A task defined in one package outside of Recurra, and registered, works everywhere without any other line."""

import random
from pathlib import Path
from typing import Any

import pytest

import recurra
from recurra.progress import Progress
from recurra.runs import METRICS, Run
from recurra.tasks import TASKS, TaskEntry


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of lines of numbers, in a folder to work in; the toy task is registered."""
    monkeypatch.setitem(TASKS, "toy", TaskEntry("toy", "toy_task"))
    monkeypatch.chdir(tmp_path)
    draw = random.Random(3)
    rows = [" ".join(f"{draw.uniform(-1, 1):.3f}" for _ in range(draw.randint(1, 6))) for _ in range(60)]
    path = tmp_path / "toy-lines.txt"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_train_resume_evaluate_predict_info_check_report(lines: Path, recurra_command: Any) -> None:
    checked = recurra_command("check", "toy", lines, "--json").json
    assert checked["splits"] == {"train": {"lines": 36}, "valid": {"lines": 12}, "test": {"lines": 12}}
    outcome = recurra_command("train", "toy", lines, "--hidden-size", "4", "--epochs", "4", "--run", "whole")
    assert outcome.code == 0, outcome.err
    assert "toy: 12 sums" in Path("whole/evaluation.html").read_text()
    recurra_command("train", "toy", lines, "--hidden-size", "4", "--epochs", "2", "--run", "parts")
    assert recurra_command("train", "--resume", "parts", "--epochs", "4").code == 0
    whole, parts = (Run(name).read_json(METRICS) for name in ("whole", "parts"))
    assert whole["model"] == parts["model"], "resumed exactly"
    assert recurra_command("evaluate", "whole", "--json").json == {k: v for k, v in whole.items() if k != "training"}
    other = recurra_command("evaluate", "whole", lines.rename("other.txt"), "--skip", "3", "--json").json
    assert set(other) == {"model"}, "the training data is gone, so there are no baselines"
    (one,) = recurra_command("predict", "whole", "0.5 0.25", "--json").json_lines
    (twice,) = recurra_command("predict", "whole", "0.5 0.25", "--factor", "2", "--json").json_lines
    assert twice["sum"] == 2 * one["sum"]
    assert recurra_command("predict", "whole", "0.5 0.25").out == f"{one['sum']:.3f}\n"
    assert len(recurra_command("predict", "whole", "--file", "other.txt", "--skip", "58").out.splitlines()) == 2
    assert recurra_command("info", "whole", "--check").code == 0
    assert "--factor" in recurra_command("predict", "whole", "--help").out
    assert "did you mean --factor?" in recurra_command("predict", "whole", "1", "--facto", "2").err


def test_demo(lines: Path, recurra_command: Any) -> None:
    outcome = recurra_command("demo", "toy", "--run", "demo")
    assert outcome.code == 0, outcome.err
    assert lines.name == TASKS["toy"].demo.data
    assert "1 + 2 is about" in outcome.out
    assert 'recurra predict demo "1 2 3"' in outcome.out


def test_bad_data_is_one_clear_line(lines: Path, recurra_command: Any) -> None:
    lines.write_text("1 2\n3 x\n")
    outcome = recurra_command("train", "toy", lines)
    assert outcome.code == 3
    assert outcome.err == f"recurra: {lines} line 2: expected numbers between spaces, got '3 x'\n"


def test_python(lines: Path) -> None:
    run = recurra.train("toy", lines, epochs=1, progress=Progress())
    model = recurra.load(run)
    with pytest.raises(recurra.errors.UsageError, match=r"predict: expected a list, got one text"):
        model.predict("1 2")
