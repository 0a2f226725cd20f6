"""`recurra data`."""

from typing import Annotated

import typer

from recurra.cli.output import Json, print_json

app = typer.Typer(
    no_args_is_help=True, help="Public data sets: what there is, and fetching them.", rich_markup_mode=None
)


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """The catalogue: what each data set is, its license, and where it lies.

    Example: recurra data list
    """
    from recurra.data.catalogue import CATALOGUE, find, how_to_get

    places = {name: find(name) for name in CATALOGUE}
    if as_json:
        print_json({name: {**entry.as_json(), "path": str(places[name] or "")} for name, entry in CATALOGUE.items()})
        return
    for name, entry in CATALOGUE.items():
        missing = f"made each time, for {entry.only_for}" if entry.only_for else f"not here; {how_to_get(name)}"
        where = places[name] or missing
        print(f"{name}: {entry.about}\n  license: {entry.license}\n  {where}\n")


@app.command(name="fetch")
def fetch_(name: Annotated[str, typer.Argument(help="Name in the catalogue.")]) -> None:
    """Download a data set into the cache and check it. The only command that opens a connection.

    Example: recurra data fetch tinyshakespeare
    """
    from recurra.data.catalogue import fetch

    print(fetch(name))
