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
            "data section that are otherwise in it.",
        ),
    ] = None,
    device: Device = "cpu",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """How good a model is, beside plain baselines.

    Examples: recurra evaluate runs/ptb-256-128; recurra evaluate runs/reviews other.csv --label-column stars
    """
    model = open_model(run, device)
    from recurra.inference import TrainedOnExamples

    plain, options = read_words(model.task.recipe_type, words or [])
    data = one_of(plain)
    if isinstance(model, TrainedOnExamples):
        layout = {key.removeprefix("data."): value for key, value in options.items()}
        metrics = model.evaluate(data, progress(quiet), **layout)
    elif options:
        raise UsageError(f"{next(iter(options))}: {run} reads all data as it was trained; leave this out")
    else:
        metrics = model.evaluate(data, progress(quiet))
    if as_json:
        print_json(metrics)
    else:
        print_metrics(metrics, model.task)
