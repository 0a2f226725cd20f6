"""From a recipe to a finished run folder, and from an interrupted run on."""

import itertools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from recurra.config import Recipe, differences, dump, find_option, read_recipe, resolve
from recurra.devices import device_of, keep_freed_memory
from recurra.errors import RunError, SaveError, UsageError
from recurra.progress import ConsoleProgress, Progress
from recurra.runs import CARD, CHECKPOINT, EVALUATION, METRICS, RECIPE, SAMPLES, WEIGHTS, Run
from recurra.tasks import TASKS, find_task, task_of
from recurra.tasks.task import describe, load_data, num_parameters, report, restore
from recurra.training.card import model_card
from recurra.training.loop import Position, Training
from recurra.training.schedules import refuse_another_length

MAY_CHANGE = {
    "device",
    "training.epochs",
    "training.time",
    "training.steps",
    "training.patience",
    "training.checkpoint_every",
    "data.path",  # text of the same bytes may lie elsewhere now; the digests tell
    "data.valid",
    "data.test",
}


def train(
    recipe: str | Path,
    data: str | Path | Mapping[str, Any] | None = None,
    *,
    run: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Path:
    """Train a model and write its run folder.

        recurra.train("language-modelling", "corpus.txt", epochs=5, hidden_size=[256, 128])

    Args:
        recipe: name of a task, or a recipe file (.toml).
        data: what to train on; sets `data.path` of the recipe. Or a mapping of several keys of `[data]`.
        run: folder to write; by default a new one under `runs/`. After Ctrl-C, `resume` goes on with it.
        progress: receives notes and the state of the work; by default it prints to standard error.
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
    if run is not None:
        Run(run).refuse_taken()
    torch.manual_seed(resolved.seed)
    task = find_task(resolved.task).task.start(resolved, progress)
    target = Run(run) if run is not None else free_run(Path(recipe).stem)
    target.claim()
    try:
        target.write(RECIPE, dump(resolved))
        target.write_model(task.name, *describe(task))
        training = Training(task, target, progress)
        training.save()
    except BaseException:
        target.abandon()
        raise
    size = f"{num_parameters(task):,} parameters, {len(task.batches(0)):,} steps an epoch"
    progress.note(f"training {task.name} in {target}: {size}")
    finish(training)
    return target.folder


def resume(run: str | Path, *, progress: Progress | None = None, **options: Any) -> Path:
    """Continue an interrupted run exactly as if it had not stopped.

    Args:
        run: its folder.
        progress: receives notes and the state of the work; by default it prints to standard error.
        options: may change the device, when to stop (epochs, steps, time, patience) and where the data lies, nothing
            else.

    Returns:
        The run folder.

    Raises:
        RunError: no run there, or damaged.
        UsageError: an option, or a change of its recipe.toml, that would make it another run.
        DataError: its data changed or is gone.
    """
    progress = progress or ConsoleProgress()
    target = Run(run)
    kind = task_of(target).task
    task = restore(kind, target)
    checkpoint = target.read_tensors(CHECKPOINT)
    wanted = resolve(kind.recipe_type, target.read_recipe(), dotted(kind.recipe_type, options), f"{run}/{RECIPE}")
    changed = differences(kind.recipe_type.parse(tomllib.loads(checkpoint.values["recipe"]), str(run)), wanted)
    refuse_another_length(wanted.training, changed)
    refused = {key: pair for key, pair in changed.items() if key not in MAY_CHANGE}
    if refused:
        pairs = "; ".join(f"{key}: {there!r} in the run, {here!r} now" for key, (there, here) in refused.items())
        raise UsageError(f"cannot resume {run} with another recipe ({pairs}); train a new run instead")
    device_of(wanted.device)
    task.recipe = wanted
    position = Position.parse(checkpoint.values["position"])
    limit = position.reached_limit(wanted.training)
    is_finished = limit is not None and target.path(METRICS).exists()
    if target.path(WEIGHTS).exists():
        target.read_tensors(WEIGHTS)  # a damaged file should show now, not after hours of training
    if changed or not is_finished:
        load_data(task, target, progress)
    if changed:
        target.write(RECIPE, dump(wanted))
    if is_finished:
        progress.note(
            f"{run} is finished: it reached its limit of {limit} at step {position.step:,}; raise --{limit} to train on"
        )
        return target.folder
    training = Training(task, target, progress)
    target.remove(METRICS, EVALUATION, SAMPLES, CARD)  # they describe the weights of before
    try:
        training.restore(checkpoint)
    except (KeyError, RuntimeError, TypeError) as error:
        raise RunError(f"run {run}: {CHECKPOINT} is not of this run ({error}); restore a copy") from None
    progress.note(f"going on with {run} after step {position.step:,}, in epoch {position.epoch + 1}")
    finish(training)
    return target.folder


def finish(training: Training) -> None:
    """Train to the end, then write metrics, details, samples and the model card."""
    run, task, progress = training.run, training.task, training.progress
    keep_freed_memory()
    if not training.fit():
        step = training.position.step
        raise KeyboardInterrupt(f"stopped and saved after step {step:,}; go on with: recurra train --resume {run}")
    weights = run.load_weights(task.model)
    position = training.position
    metrics, details = report(task, progress)
    metrics = {
        **metrics,
        "training": {
            "parameters": num_parameters(task),
            "epochs": position.epoch,
            "best_epoch": position.best_epoch,
            "best_step": weights["step"],
            "steps": position.step,
            "seconds": position.seconds,
        },
    }
    run.write(METRICS, metrics)
    if details:
        run.write(EVALUATION, details)
    run.write(SAMPLES, [{**sample, "outputs": task.outputs_of(sample)} for sample in task.samples()])
    run.write(CARD, model_card(run, task, metrics))


def resolve_recipe(
    recipe: str | Path, data: str | Path | Mapping[str, Any] | None, options: Mapping[str, Any]
) -> Recipe:
    """A checked recipe from a task name or a file, the data and further options."""
    values, origin = recipe_values(recipe)
    schema = find_task(values["task"]).task.recipe_type
    overrides = dotted(schema, options)
    if isinstance(data, Mapping):
        overrides |= dotted(schema, {"data": data})
    elif data is not None:
        overrides["data.path"] = str(data)
    return resolve(schema, values, overrides, origin)


def schema_of(recipe: str | Path) -> type[Recipe]:
    """The recipe type that the name of a task or a recipe file asks for.

    Raises:
        UsageError: no such task, or the file does not say which.
        DataError: the file cannot be read.
    """
    values, _ = recipe_values(recipe)
    return find_task(values["task"]).task.recipe_type


def recipe_values(recipe: str | Path) -> tuple[dict[str, Any], str]:
    """Values of a recipe from the name of a task or a file, and the name of their origin for messages."""
    if not str(recipe).endswith(".toml"):
        return {"task": str(recipe)}, str(recipe)
    values = read_recipe(Path(recipe))
    if "task" not in values:
        raise UsageError(f"recipe {recipe}: task: is required; known: {', '.join(TASKS)}")
    return values, f"recipe {recipe}"


def dotted(schema: type[Recipe], options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by dotted key; a mapping stands for a section."""
    result: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            result |= dotted(schema, {f"{name}.{key}": inner for key, inner in value.items()})
        else:
            result[find_option(schema, name).key] = value
    return result


def free_run(name: str) -> Run:
    """A new run under `runs/`; its folder is created here, so that no other process takes it."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    for folder in (Path("runs") / name for name in names):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise SaveError(f"{folder}: cannot be made ({error.strerror}); name another folder with --run") from error
        return Run(folder)
    raise AssertionError("unreachable")
