"""`recurra train`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.interrupts import dying_at_once
from recurra.cli.output import Json, print_json, print_metrics, print_table, print_text, progress, verdict
from recurra.cli.recipe_options import one_of, option_rows, read_words
from recurra.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

EPILOG = """Examples:

  recurra train language-modelling corpus.txt --epochs 5 --hidden-size 256,128

  recurra train recipes/ptb-256-128.toml --run runs/ptb --set training.batch_size=30

  recurra train --resume runs/ptb
"""


def train(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="TASK|RECIPE.toml [DATA] [--KEY VALUE]...", help="What to train, on what, and how."),
    ] = None,
    run: Annotated[str | None, typer.Option(help="Folder to write; by default a new one in runs/.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with this run instead, exactly.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a recipe key.")] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Train N times with seeds of their own; tells mean and spread.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the run folder.")] = False,
    as_json: Json = False,
    help_: Annotated[bool, typer.Option("--help", "-h", help="Show this, and every recipe key.")] = False,
) -> None:
    """Train a model; writes a run folder.

    Any key of a recipe is an option: --epochs 5, --seed 7, --device cpu, --time 10m, ...
    """
    if help_ or not (words or resume):
        show_help(context, words[0] if words else "language-modelling")
        return
    with dying_at_once():
        from recurra import training

    if resume and run:
        raise UsageError(f"--run {run}: a resumed run stays in its folder, {resume}; leave --run out")
    if resume and seeds:
        raise UsageError("--seeds: a resumed run has the seed it was begun with; leave one of the two out")
    plain, options = read_choices(words or [], set_ or [], resume)
    if resume:
        folder = training.resume(resume, progress=progress(quiet), **options)
    elif seeds is not None:
        folder = training.train_seeds(*plain, seeds=seeds, run=run, progress=progress(quiet), **options)
    else:
        folder = training.train(*plain, run=run, progress=progress(quiet), **options)
    show = show_run if seeds is None else show_seeds
    show(folder, quiet, as_json)


def read_choices(words: list[str], assignments: list[str], resume: str | None) -> tuple[list[str], dict[str, Any]]:
    """Task or recipe, and data, as they stand on the command line; and recipe keys with values."""
    from recurra.config import parse_assignment
    from recurra.runs import Run
    from recurra.tasks import task_of
    from recurra.training import schema_of

    if resume:
        schema = task_of(Run(resume)).task.recipe_type
        plain, options = read_words(schema, words)
        if plain:
            raise UsageError(f"--resume {resume}: takes no further task or data, got {' '.join(plain)}")
    else:
        schema = schema_of(words[0])
        plain, options = read_words(schema, words[1:])
        data = one_of(plain)
        plain = [words[0], *([] if data is None else [data])]
    return plain, options | dict(parse_assignment(schema, text) for text in assignments)


def show_run(folder: "Path", quiet: bool, as_json: bool) -> None:
    """Metrics and pictures of a run."""
    from recurra.inspection import evaluation_page, learning_curve
    from recurra.runs import METRICS, Run
    from recurra.tasks import task_of
    from recurra.tasks.task import restore

    run = Run(folder)
    metrics = run.read_json(METRICS)
    picture, page = learning_curve(run), evaluation_page(run)
    if as_json:
        print_json({"run": str(folder), **metrics})
    elif quiet:
        print(folder)
    else:
        print_metrics(metrics, restore(task_of(run).task, run))
        print(f"\nrun {folder}; learning curve {picture}{f'; predictions for held-out data {page}' if page else ''}")


def show_seeds(folder: "Path", quiet: bool, as_json: bool) -> None:
    """Mean and spread over several seeds."""
    from recurra.runs import SEEDS, Run
    from recurra.tasks import task_of
    from recurra.tasks.task import restore

    found = Run(folder).read_json(SEEDS)
    if as_json:
        print_json({"run": str(folder), **found})
        return
    if quiet:
        print(folder)
        return
    rows = [(who, split, values) for who, splits in found.items() for split, values in splits.items()]
    columns = list(dict.fromkeys(name for _, _, values in rows for name in values))
    cells = [(who, split, *(told(values[n]) if n in values else "" for n in columns)) for who, split, values in rows]
    print_table(("", "on", *(name.replace("_", " ") for name in columns)), cells, folds=False)
    means: dict[str, dict[str, Any]] = {who: {} for who in found}
    for who, split, values in rows:
        means[who][split] = {name: value["mean"] for name, value in values.items()}
    run = next(Run(path) for path in folder.glob("seed-*") if path.is_dir())
    print_text(verdict(means, restore(task_of(run).task, run).primary_metric))
    num_seeds = len(next(iter(rows[0][2].values()))["values"])
    print(f"mean ± deviation over {num_seeds} seeds; runs {folder}/seed-*")


def told(values: dict[str, Any]) -> str:
    """Mean and deviation of a metric; a count that is the same in all runs alone."""
    if set(values["values"]) == {values["mean"]}:
        return f"{values['mean']:,.4g}"
    return f"{values['mean']:.4g} ± {values['standard_deviation']:.2g}"


def show_help(context: typer.Context, what: str) -> None:
    """The command's own options, then every key of the recipe."""
    print(context.get_help())
    print(EPILOG)
    with dying_at_once():
        from recurra.tasks import TASKS
        from recurra.training import schema_of

    others = ", ".join(name for name in TASKS if name != what)
    print_table(("option", "default", "meaning"), option_rows(schema_of(what)), f"Recipe keys of {what}:")
    print(f"Keys of the other tasks: recurra train TASK --help, with {others}.")
