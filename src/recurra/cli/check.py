"""`recurra check`."""

from typing import Annotated, Any

import typer

from recurra.cli.interrupts import dying_at_once
from recurra.cli.output import Json, print_json, print_table, print_text, progress
from recurra.cli.recipe_options import one_of, read_words


def check(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="TASK|RECIPE.toml [DATA] [--KEY VALUE]...",
            help="As for `recurra train`, whose --help lists the keys.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Check data before training: counts, lengths, labels, repeated examples, leaks between splits, bad rows.

    Example: recurra check classification reviews.csv --label-column stars
    """
    with dying_at_once():
        from recurra import training
        from recurra.tasks import find_task

    schema = training.schema_of(words[0])
    plain, options = read_words(schema, words[1:])
    recipe = training.resolve_recipe(words[0], one_of(plain), options)
    found = find_task(recipe.task).task.check(recipe, progress(quiet=False))
    if as_json:
        print_json(found)
        return
    for title, rows in found.items():
        if title != "problems":
            print_rows(title, rows)
    problems = found["problems"]
    print("Nothing looks wrong." if not problems else "To look at:")
    for problem in problems:
        print_text(f"- {problem}")


def print_rows(title: str, rows: dict[str, dict[str, Any]]) -> None:
    """One row for each name."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    cells = [(name, *(f"{row[column]:,}" for column in columns)) for name, row in rows.items()]
    print_table((title, *columns), cells)
