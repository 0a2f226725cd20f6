"""One recipe trained with several seeds: what a figure is worth."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recurra.config import Recipe, differences
from recurra.errors import UsageError
from recurra.progress import ConsoleProgress, Progress
from recurra.runs import CHECKPOINT, METRICS, SEEDS, Json, Run
from recurra.training.session import free_run, resolve_recipe, resume, train


def train_seeds(
    recipe: str | Path,
    data: str | Path | Mapping[str, Any] | None = None,
    *,
    seeds: int,
    run: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Path:
    """Train a model several times, each time with the next seed, and tell mean and spread.

    In a folder where the same was stopped it goes on: finished runs stay, the one that was stopped is resumed.

    Args:
        recipe: name of a task, or a recipe file (.toml).
        data: what to train on, as for `train`.
        seeds: how many; the first is that of the recipe.
        run: folder to write, a run in `seed-N` for each; by default a new one under `runs/`.
        progress: who is told how far it is; by default standard error.
        options: recipe keys, as for `train`.

    Returns:
        The folder, with the runs and `seeds.json`: mean, deviation (of a sample) and each value by who, split and
        metric.

    Raises:
        UsageError: fewer than two seeds, a folder with runs of another recipe, and as `train`.
        DataError: as `train`.
        KeyboardInterrupt: the user asked to stop; the runs so far are whole, the last one is saved.
    """
    if seeds < 2:
        raise UsageError(f"seeds: expected at least 2, got {seeds}")
    progress = progress or ConsoleProgress()
    first = resolve_recipe(recipe, data, options).seed
    folder = Run(run) if run is not None else free_run(f"{Path(recipe).stem}-seeds")
    if not folder.path(SEEDS).exists():
        folder.claim()
        folder.write(SEEDS, {})
    results = []
    for seed in range(first, first + seeds):
        progress.note(f"seed {seed}, {seed - first + 1} of {seeds}")
        place = Run(folder.path(f"seed-{seed}"))
        try:
            if place.path(CHECKPOINT).exists():
                refuse_another(place, resolve_recipe(recipe, data, {**options, "seed": seed}))
                resume(place.folder, progress=progress)
            else:
                train(recipe, data, run=place.folder, progress=progress, **{**options, "seed": seed})
        except KeyboardInterrupt:
            again = f"the same again with --run {folder} goes on"
            raise KeyboardInterrupt(f"stopped and saved within seed {seed}; {again}") from None
        results.append(place.read_json(METRICS))
        folder.write(SEEDS, spread(results))
    return folder.folder


def refuse_another(run: Run, recipe: Recipe) -> None:
    """Refuse to go on with a run of another recipe.

    Raises:
        UsageError: it is.
    """
    changed = differences(type(recipe).parse(run.read_recipe(), str(run)), recipe)
    if changed:
        raise UsageError(f"{run}: was begun with another recipe ({', '.join(changed)}); choose another folder")


def spread(results: list[Json]) -> Json:
    """Mean, deviation and values of each metric by who and split."""
    return {
        who: {
            split: {name: spread_of([result[who][split][name] for result in results]) for name in values}
            for split, values in splits.items()
        }
        for who, splits in results[0].items()
        if who != "training"
    }


def spread_of(values: list[float]) -> Json:
    """Mean, deviation and values of one metric."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "deviation": deviation, "values": values}
