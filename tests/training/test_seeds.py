"""Training with several seeds: the runs and the summary of their metrics."""

import json
import statistics
from pathlib import Path

import pytest

import recurra
from recurra.errors import UsageError
from recurra.progress import Progress
from recurra.training.loop import Training

TINY = {"embedding_size": 5, "hidden_size": 6, "epochs": 2, "batch_size": 16}


@pytest.fixture
def colors(tmp_path: Path) -> Path:
    path = tmp_path / "colors.txt"
    path.write_text(
        "".join(f"{'warm' if i % 3 else 'cold'}\t{'red' if i % 3 else 'blue'} number {i}\n" for i in range(90))
    )
    return path


def test_seeds_differ_and_are_summarized(colors: Path, tmp_path: Path) -> None:
    folder = recurra.train_seeds(
        "classification", colors, seeds=3, run=tmp_path / "runs", seed=7, progress=Progress(), **TINY
    )
    found = json.loads((folder / "seeds.json").read_text())
    losses = [
        json.loads((folder / f"seed-{n}" / "metrics.json").read_text())["model"]["test"]["loss"] for n in (7, 8, 9)
    ]
    assert len(set(losses)) == 3
    summary = found["model"]["test"]["loss"]
    assert summary["values"] == losses
    assert summary["mean"] == pytest.approx(statistics.fmean(losses))
    assert summary["standard_deviation"] == pytest.approx(statistics.stdev(losses))
    assert found["majority"]["test"]["loss"]["standard_deviation"] == 0
    again = recurra.train("classification", colors, run=tmp_path / "again", seed=8, progress=Progress(), **TINY)
    assert json.loads((again / "metrics.json").read_text())["model"]["test"]["loss"] == losses[1]


def test_interrupted_seeds_are_resumed(colors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = recurra.train_seeds("classification", colors, seeds=2, run=tmp_path / "a", progress=Progress(), **TINY)
    fit, fits = Training.fit, []

    def stop_in_the_second(self: Training) -> bool:
        fits.append(self.run.folder.name)
        if len(fits) == 2:
            self.save()
            return False
        return fit(self)

    monkeypatch.setattr(Training, "fit", stop_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        recurra.train_seeds("classification", colors, seeds=2, run=tmp_path / "b", progress=Progress(), **TINY)
    other = recurra.train_seeds("classification", colors, seeds=2, run=tmp_path / "b", progress=Progress(), **TINY)
    assert fits == ["seed-1", "seed-2", "seed-2"]
    assert (other / "seeds.json").read_text() == (whole / "seeds.json").read_text()
    with pytest.raises(UsageError, match=r"seed-1: was started with another recipe \(training.epochs\)"):
        recurra.train_seeds("classification", colors, seeds=2, run=other, progress=Progress(), **{**TINY, "epochs": 1})


def test_a_single_seed_is_an_error(colors: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="seeds: expected at least 2, got 1"):
        recurra.train_seeds("classification", colors, seeds=1, run=tmp_path / "runs", progress=Progress(), **TINY)
