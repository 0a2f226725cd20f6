"""`recurra evaluate`."""

from typing import Annotated

import typer

from recurra.cli.output import Device, Json, Quiet, RunFolder, open_model, print_json, print_metrics, progress
from recurra.cli.recipe_options import one_of, read_words
from recurra.errors import UsageError


def evaluate(
    run: RunFolder,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA] [--KEY VALUE]...",
            help="Data to judge by, all its splits but train, by default that of the run; and keys of the recipe's "
            "[data] in which its files differ, such as --label-column stars.",
        ),
    ] = None,
    device: Device = "cpu",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """How good a model is, beside plain baselines.

    Examples: recurra evaluate runs/ptb-256-128; recurra evaluate runs/reviews other.csv --label-column stars
    """
    if run.startswith("-"):
        raise UsageError(f"{run}: stands before the run; write recurra evaluate RUN DATA {run} ...")
    model = open_model(run, device)
    from recurra.inference import TrainedOnExamples

    plain, options = read_words(model.task.recipe_type, words or [])
    data, layout = one_of(plain), {key.removeprefix("data."): value for key, value in options.items()}
    if isinstance(model, TrainedOnExamples):
        metrics = model.evaluate(data, progress(quiet), **layout)
    elif layout:
        raise UsageError(f"{next(iter(layout))}: {run} reads all data as it was trained; leave this out")
    else:
        metrics = model.evaluate(data, progress(quiet))
    if as_json:
        print_json(metrics)
    else:
        print_metrics(metrics, model.task)
