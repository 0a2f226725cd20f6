"""`recurra demo TASK`: what it promises, and that all it prints is there and works."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from recurra.data.builtin import brackets, dates, digit_strips, mackey_glass, python_code, touch_tones
from recurra.data.catalogue import CATALOGUE
from recurra.tasks import TASKS
from recurra.tasks.demo import Demo
from recurra.training.session import resolve_recipe

SMALL = {
    "language-modelling": {"embedding_size": 8, "hidden_size": [6, 5], "steps": 3},
    "classification": {"epochs": 1},
    "tagging": {"hidden_size": [7], "steps": 3},
    "forecasting": {"hidden_size": [6], "horizon": 24, "steps": 3},
    "long-memory": {"hidden_size": [6], "steps": 3, "held_out_size": 20},
    "translation": {"hidden_size": [6], "encoder_size": [5], "steps": 3},
    "captioning": {"hidden_size": [6], "channels": [3, 5], "steps": 3},
    "speech": {"hidden_size": [6], "steps": 3},
}
SHOWN = {
    "speech": ["Transcripts beside what was dialled, and the second best:", "dialled"],
    "captioning": ["digits"],
    "translation": [" thu 9 nov 1989 ", "second"],
    "long-memory": ["Two numbers among 100 are marked; the network adds them:", "their sum"],
    "language-modelling": ["Generated text (temperature 0.7):\n  'The following "],
    "classification": [
        "\n  (a(b)c)              b",
        "Of 200 strings of 61 to 120 characters, longer than any in training, ",
    ],
    "tagging": ["  count  ", "self  ", "Predicted role of each token:"],
    "forecasting": ["A forecast of what follows 2000-01-", "steps ahead", "\n 12 ", "\n 24 "],
}


@pytest.fixture
def _small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less data and smaller models, in a folder and a cache of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECURRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RECURRA_DATA", raising=False)
    monkeypatch.setattr(brackets, "NUM_STRINGS", (120, 40, 40))
    monkeypatch.setattr(mackey_glass, "NUM_POINTS", 700)
    monkeypatch.setattr(dates, "NUM_DATES", (60, 20, 20))
    monkeypatch.setattr(touch_tones, "COUNTS", {"train": 60, "valid": 20, "test": 20})
    monkeypatch.setattr(digit_strips, "SMALL_COUNTS", {"train": 60, "valid": 20, "test": 20})
    monkeypatch.setattr(python_code, "MODULES", ("uuid", "calendar", "plistlib"))


def make_small(task: str, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """Give the demo of a task a smaller model."""
    demo = TASKS[task].demo
    smaller = demo._replace(recipe={**demo.recipe, **SMALL[task]})
    monkeypatch.setattr(f"{TASKS[task].package}.demo.DEMO", smaller)
    return smaller


def test_every_demo_is_tried() -> None:
    assert TASKS.keys() == SMALL.keys() == SHOWN.keys()


@pytest.mark.parametrize("task", TASKS)
def test_a_demo_is_a_whole_recipe_and_expects_the_model_to_win(task: str) -> None:
    entry = TASKS[task].demo
    recipe = resolve_recipe(task, entry.data, dict(entry.recipe))
    assert recipe.task == task
    assert len(entry.about.splitlines()) == 2
    assert max(len(line) for line in f"{entry.about}\n{entry.next}".splitlines()) <= 120
    mine, *others = entry.expected.values()
    assert next(iter(entry.expected)) == "model"
    assert others
    best = (
        max if task in ("classification", "tagging", "translation", "captioning") else min
    )  # shares; else perplexity, or a squared error
    assert best(mine, *others) == mine not in others


@pytest.mark.parametrize("task", SMALL)
@pytest.mark.usefixtures("_small")
def test_a_demo_runs_through_and_what_it_says_next_works(
    recurra_command: Any, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = make_small(task, monkeypatch)
    assert task == "long-memory" or not CATALOGUE[entry.data].files, "needs a download"
    outcome = recurra_command("demo", *([] if task == "language-modelling" else [task]))
    assert outcome.code == 0, outcome.err
    run = Path("runs") / f"demo-{task}"
    for part in (
        *(entry.about, *SHOWN[task], "expected", "got:\n  model    "),
        *(f"\n  {name} " for name in entry.expected),
        f" minutes. The run is in {run}; its learning curve: {run}/learning_curve.html",
        "\nNext:\n  recurra ",
    ):
        assert part in outcome.out
    assert json.loads((run / "metrics.json").read_text()).keys() - {"training"} == entry.expected.keys()
    assert (run / "learning_curve.html").exists()
    page = run / "evaluation.html"
    assert page.exists() == (task not in ("language-modelling", "long-memory")) == (str(page) in outcome.out)
    suggested = outcome.out.partition("\nNext:\n")[2]
    assert str(run) in suggested
    for line in suggested.splitlines():
        _, *command = shlex.split(line, comments=True)
        if "YOUR-" not in line and task != "long-memory":  # there it suggests trainings of minutes
            assert recurra_command(*command).code == 0, line


@pytest.mark.usefixtures("_small")
def test_a_demo_writes_where_it_is_told_to(recurra_command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make_small("classification", monkeypatch)
    monkeypatch.setattr("recurra.tasks.classification.demo.NUM_LONGER", 4)
    outcome = recurra_command("demo", "classification", "--run", "mine")
    assert outcome.code == 0, outcome.err
    assert Path("mine/metrics.json").exists()
    assert not Path("runs").exists()
    assert "recurra predict mine " in outcome.out


def test_a_demo_of_no_task(recurra_command: Any) -> None:
    outcome = recurra_command("demo", "tagger")
    assert (outcome.code, outcome.out) == (2, "")
    assert f"demo 'tagger': unknown; known: {', '.join(TASKS)}\n" in outcome.err
