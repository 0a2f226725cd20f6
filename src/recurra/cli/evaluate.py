"""`recurra evaluate`."""

from typing import Annotated

import typer

from recurra.cli.output import Device, Json, Quiet, RunFolder, open_model, print_json, print_metrics, progress


def evaluate(
    run: RunFolder,
    data: Annotated[
        str | None, typer.Argument(help="Data to judge by, all its splits but train; by default that of the run.")
    ] = None,
    device: Device = "cpu",
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """How good a model is, beside plain baselines.

    Example: recurra evaluate runs/ptb-256-128
    """
    model = open_model(run, device)
    metrics = model.evaluate(data, progress(quiet))
    if as_json:
        print_json(metrics)
    else:
        print_metrics(metrics, model.task)
