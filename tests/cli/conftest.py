"""One small run of each task, trained from the command line when it is first asked for."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import TRAININGS, SmallRun


@pytest.fixture(scope="session")
def small_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SmallRun]:
    """The run of a task by its name, or "series": a classifier that reads files."""
    runs: dict[str, SmallRun] = {}

    def run_of(name: str) -> SmallRun:
        if name == "language-modelling":
            return SmallRun(request.getfixturevalue("tiny_run"), request.getfixturevalue("story"))
        if name not in runs:
            data = TRAININGS[name].write(tmp_path_factory.mktemp(name))
            run, task = tmp_path_factory.mktemp("runs") / name, "classification" if name == "series" else name
            train(run, task, data, *TRAININGS[name].options.split())
            runs[name] = SmallRun(run, data)
        return runs[name]

    return run_of


def train(run: Path, *arguments: object) -> None:
    """`recurra train` in this process."""
    from recurra.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["recurra", "train", *map(str, arguments), "--run", str(run), "--quiet"])
        with pytest.raises(SystemExit) as stop:
            main()
    assert stop.value.code == 0
