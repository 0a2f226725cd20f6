"""Training with several seeds: mean and standard deviation of each metric."""

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
    """Train a model several times with consecutive seeds, and summarize the metrics.

    In a folder where the same call was interrupted, finished runs are kept and the interrupted one is resumed.

    Args:
        recipe: name of a task, or a recipe file (.toml).
        data: training data, as for `train`.
        seeds: number of seeds, at least 2; the first is the seed of the recipe.
        run: folder to write, with one run `seed-N` per seed; by default a new one under `runs/`.
        progress: where to show progress; by default standard error.
        options: recipe keys, as for `train`.

    Returns:
        The folder, with the runs and `seeds.json`: mean, sample standard deviation and values, by model or baseline,
        split and metric.

    Raises:
        UsageError: fewer than two seeds, or a folder with runs of another recipe; and as for `train`.
        DataError: as for `train`.
        KeyboardInterrupt: the user pressed Ctrl-C; everything is saved, the same call with this folder goes on.
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
        one = Run(folder.path(f"seed-{seed}"))
        try:
            if one.path(CHECKPOINT).exists():
                check_same_recipe(one, resolve_recipe(recipe, data, {**options, "seed": seed}))
                resume(one.folder, progress=progress)
            else:
                train(recipe, data, run=one.folder, progress=progress, **{**options, "seed": seed})
        except KeyboardInterrupt:
            advice = f"to go on, repeat the command with --run {folder}"
            raise KeyboardInterrupt(f"stopped and saved within seed {seed}; {advice}") from None
        results.append(one.read_json(METRICS))
        folder.write(SEEDS, summarize(results))
    return folder.folder


def check_same_recipe(run: Run, recipe: Recipe) -> None:
    """Check that a run was started with this recipe.

    Raises:
        UsageError: it was started with another one.
    """
    changed = differences(type(recipe).parse(run.read_recipe(), str(run)), recipe)
    if changed:
        raise UsageError(f"{run}: was started with another recipe ({', '.join(changed)}); choose another folder")


def summarize(results: list[Json]) -> Json:
    """Summary of each metric over several runs, by model or baseline, split and metric."""
    return {
        who: {
            split: {name: summary_of([result[who][split][name] for result in results]) for name in values}
            for split, values in splits.items()
        }
        for who, splits in results[0].items()
        if who != "training"
    }


def summary_of(values: list[float]) -> Json:
    """Mean, sample standard deviation (0 for a single value) and values of one metric."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "standard_deviation": deviation, "values": values}
