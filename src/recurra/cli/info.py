"""`recurra info`."""

from typing import Annotated

import typer

from recurra.cli.output import Json, RunFolder, print_json, print_metrics, print_table

TOLERANCE = 1e-3  # nats; other machines round otherwise


def info(
    run: RunFolder,
    check: Annotated[
        bool, typer.Option("--check", help="Run the saved samples and compare with what is stored.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What a run is: its shape, its parameters, what it reaches.

    Example: recurra info runs/ptb-256-128
    """
    from recurra.errors import RunError
    from recurra.inference import load
    from recurra.runs import METRICS, Run
    from recurra.tasks import num_parameters

    folder = Run(run)
    model = load(run)
    description = folder.read_model()
    parameters = {name: list(tensor.shape) for name, tensor in model.task.model.named_parameters()}
    total = num_parameters(model.task)
    metrics = folder.read_json(METRICS) if folder.path(METRICS).exists() else {}
    deviation = model.check_samples() if check else None
    if deviation is not None and not deviation < TOLERANCE:
        raise RunError(
            f"run {folder}: its stored samples come out different by {deviation:.2g} nats, more than rounding; "
            "its files do not belong together, or this machine computes wrongly"
        )
    if as_json:
        print_json(
            {**description, "parameters": parameters, "total": total, "metrics": metrics, "deviation": deviation}
        )
        return
    print(f"{folder}: {description['task']}, trained on {model.task.recipe.data.path}")
    print_table(("", ""), [(key.replace("_", " "), str(value)) for key, value in description["architecture"].items()])
    rows = [(name, " x ".join(map(str, shape))) for name, shape in parameters.items()]
    print_table(("parameter", "shape"), [*rows, ("all", f"{total:,} numbers")])
    if metrics:
        print_metrics(metrics)
    else:
        print(f"Not finished; go on with: recurra train --resume {folder}")
    if deviation is not None:
        print(f"Samples computed again: they agree, largest deviation {deviation:.2g} nats.")
