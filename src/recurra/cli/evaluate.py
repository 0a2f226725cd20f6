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
            help="Data to evaluate on (all splits but train); by default what was held out of the run. And keys of "
            "[data] in which its files differ from those of training, such as --label-column stars.",
        ),
    ] = None,
    device: Device = "cpu",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Evaluate a model and its baselines.

    Examples: recurra evaluate runs/ptb-256-128; recurra evaluate runs/reviews other.csv --label-column stars
    """
    if run.startswith("-"):
        raise UsageError(f"{run}: stands before the run; write recurra evaluate RUN DATA {run} ...")
    model = open_model(run, device)
    plain, options = read_words(model.task.recipe_type, words or [])
    data_options = {key.removeprefix("data."): value for key, value in options.items()}
    metrics = model.evaluate(one_of(plain), progress(quiet), **data_options)
    if as_json:
        print_json(metrics)
    else:
        print_metrics(metrics, model.task)
