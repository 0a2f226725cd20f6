"""From a recipe to a finished run folder, and from an interrupted run on."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from recurra.config import Recipe, differences, dump, find_option, read_recipe, resolve
from recurra.devices import device_of
from recurra.errors import RunError, UsageError
from recurra.progress import ConsoleProgress, Progress
from recurra.runs import CHECKPOINT, RECIPE, Run
from recurra.tasks import Task, task_of, task_type
from recurra.training.card import model_card
from recurra.training.loop import Training

MAY_CHANGE = {"training.epochs", "training.time", "training.steps", "training.patience", "training.checkpoint_every"}


def train(
    recipe: str | Path,
    data: str | Path | None = None,
    *,
    run: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Path:
    """Train a model and write its run folder.

        recurra.train("language-modelling", "corpus.txt", epochs=5, hidden_size=[256, 128])

    Args:
        recipe: name of a task, or a recipe file (.toml).
        data: what to train on; sets `data.path` of the recipe.
        run: folder to write; by default a new one under `runs/`. After Ctrl-C, `resume` goes on with it.
        progress: who is told how far it is; by default standard error.
        options: recipe keys by their last part (`batch_size=20`); a mapping names a section
            (`training={"batch_size": 20}`). See docs/recipes.md.

    Returns:
        The run folder.

    Raises:
        UsageError: unknown options or impossible values.
        DataError: data that cannot be used.
        DivergedError: the loss is no longer finite.
        SaveError: the run folder cannot be written.
        KeyboardInterrupt: the user asked to stop; everything is saved.
    """
    progress = progress or ConsoleProgress()
    resolved = resolve_recipe(recipe, data, options)
    device_of(resolved.device)
    folder = Path(run) if run is not None else free_folder(Path(recipe).stem)
    if Run(folder).exists():
        raise UsageError(f"{folder}: already holds a run; go on with it by --resume {folder}, or choose another folder")
    torch.manual_seed(resolved.seed)
    task = task_type(resolved.task).start(resolved, progress)
    target = Run(folder)
    target.write(RECIPE, dump(resolved))
    target.write_model(task.name, *task.describe())
    training = Training(task, target, progress)
    size = f"{num_parameters(task):,} parameters, {len(task.batches(0)):,} steps an epoch"
    progress.note(f"training {task.name} in {folder}: {size}")
    finish(training)
    return folder


def resume(run: str | Path, *, progress: Progress | None = None, **options: Any) -> Path:
    """Go on with an interrupted run, exactly as if it had not stopped.

    Args:
        run: its folder.
        progress: who is told how far it is; by default standard error.
        options: may change when to stop (epochs, steps, time, patience), nothing else.

    Returns:
        The run folder.

    Raises:
        RunError: no run there, or damaged.
        UsageError: an option that would make it another run.
    """
    progress = progress or ConsoleProgress()
    target = Run(run)
    kind = task_of(target)
    task = kind.restore(target)
    values = target.read_recipe()
    wanted = resolve(kind.recipe_type, values, dotted(kind.recipe_type, options), f"{run}/{RECIPE}")
    changed = differences(task.recipe, wanted)
    refused = {key: pair for key, pair in changed.items() if key not in MAY_CHANGE}
    if refused:
        pairs = "; ".join(f"{key}: {there!r} in the run, {here!r} now" for key, (there, here) in refused.items())
        raise UsageError(f"cannot resume {run} with another recipe ({pairs}); train a new run instead")
    device_of(wanted.device)
    if not target.path(CHECKPOINT).exists():
        raise RunError(f"run {run}: has no checkpoint to go on from; train it anew in another folder")
    task.recipe = wanted
    if changed:
        target.write(RECIPE, dump(wanted))
    task.load_data(progress)
    training = Training(task, target, progress)
    training.restore()
    finish(training)
    return target.folder


def finish(training: Training) -> None:
    """Train to the end, then write what is to be known about the result."""
    run, task, progress = training.run, training.task, training.progress
    if not training.fit():
        progress.note(
            f"stopped and saved after step {training.position.step}; go on with: recurra train --resume {run}"
        )
        raise KeyboardInterrupt
    run.load_weights(task.model)
    position = training.position
    metrics = {
        **task.report(progress),
        "training": {
            "parameters": num_parameters(task),
            "epochs": position.epoch,
            "best_epoch": position.best_epoch,
            "steps": position.step,
            "seconds": position.seconds,
        },
    }
    run.write("metrics.json", metrics)
    run.write("samples.jsonl", task.samples())
    run.write("README.md", model_card(run, task, metrics))


def resolve_recipe(recipe: str | Path, data: str | Path | None, options: Mapping[str, Any]) -> Recipe:
    """A checked recipe from a task name or a file, the data and further options."""
    if str(recipe).endswith(".toml"):
        values = read_recipe(Path(recipe))
        origin = f"recipe {recipe}"
    else:
        values = {"task": str(recipe)}
        origin = str(recipe)
    schema = task_type(values.get("task")).recipe_type
    overrides = dotted(schema, options)
    if data is not None:
        overrides["data.path"] = str(data)
    return resolve(schema, values, overrides, origin)


def dotted(schema: type[Recipe], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by dotted key; a mapping stands for a section."""
    result: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            result |= dotted(schema, {f"{name}.{key}": inner for key, inner in value.items()})
        else:
            result[find_option(schema, name).key] = value
    return result


def free_folder(name: str) -> Path:
    """A folder under `runs/` that does not exist yet."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(folder for folder in (Path("runs") / name for name in names) if not folder.exists())


def num_parameters(task: Task) -> int:
    """Trainable numbers of the model."""
    return sum(parameter.numel() for parameter in task.model.parameters())
