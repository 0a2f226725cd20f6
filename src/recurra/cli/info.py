"""`recurra info`."""

from typing import Annotated

import typer

from recurra.cli.output import Json, RunFolder, open_model, print_json, print_metrics, print_table, print_text

TOLERANCE = 1e-3  # other machines round otherwise


def info(
    run: RunFolder,
    check: Annotated[
        bool, typer.Option("--check", help="Run the saved samples and compare with what is stored.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a run: architecture, parameters, recipe and scores.

    Example: recurra info runs/ptb-256-128
    """
    model = open_model(run)
    from recurra.config import as_typed, leaf_options, leaves
    from recurra.errors import RunError
    from recurra.runs import METRICS
    from recurra.tasks.task import check_samples, num_parameters
    from recurra.training.card import training_in_words

    folder, recipe = model.run, model.task.recipe
    description = folder.read_model()
    parameters = {name: list(tensor.shape) for name, tensor in model.task.model.named_parameters()}
    total = num_parameters(model.task)
    metrics = folder.read_json(METRICS) if folder.path(METRICS).exists() else {}
    deviation = check_samples(model.task, folder) if check else None
    if deviation is not None and not deviation < TOLERANCE:
        raise RunError(
            f"run {folder}: its stored samples come out different by {deviation:.2g}, more than rounding; "
            "its files do not belong together, or this machine computes wrongly"
        )
    if as_json:
        print_json(
            {
                **description,
                "recipe": recipe.model_dump(mode="json"),
                "parameters": parameters,
                "total": total,
                "metrics": metrics,
                "deviation": deviation,
            }
        )
        return
    print(f"{folder}: {description['task']}, trained on {recipe.data.path}")
    shape = {key: as_typed(value) for key, value in leaves(description["architecture"]["model"])}
    other = {
        option.key: as_typed(option.value_in(recipe))
        for option in leaf_options(type(recipe))
        if not option.key.startswith("model.") and option.value_in(recipe) != option.field.default
    }
    print_table(("architecture", "value"), list(shape.items()))
    print_table(("recipe, where not the default", "value"), list(other.items()))
    rows = [(name, " x ".join(map(str, shape))) for name, shape in parameters.items()]
    print_table(("parameter", "shape"), [*rows, ("all", f"{total:,} numbers")])
    if metrics:
        print_text(training_in_words(metrics["training"]))
        print_metrics(metrics, model.task)
    else:
        print(f"Go on training with: recurra train --resume {folder}")
    if deviation is not None:
        print(f"Samples computed again: they agree, largest deviation {deviation:.2g}.")
