"""Runs that were trained to their end, for the tests of what comes after."""

from pathlib import Path

import recurra
from recurra.config import Recipe, dump
from recurra.progress import Progress


def trained(recipe: Recipe, folder: Path) -> Path:
    """The run of a recipe, in a folder that is there."""
    file = folder / "recipe.toml"
    file.write_text(dump(recipe))
    return recurra.train(file, run=folder / "run", progress=Progress())
