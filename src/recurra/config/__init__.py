"""Recipes: one schema for TOML files, the command line and the Python API."""

from recurra.config.options import Option, as_typed, find_option, leaf_options, parse_assignment, parse_value
from recurra.config.recipe import Recipe, differences, dump, leaves, read_recipe, resolve
from recurra.config.schema import Duration, Names, Section, Shares
from recurra.config.training import TrainingOptions

__all__ = [
    "Duration",
    "Names",
    "Option",
    "Recipe",
    "Section",
    "Shares",
    "TrainingOptions",
    "as_typed",
    "differences",
    "dump",
    "find_option",
    "leaf_options",
    "leaves",
    "parse_assignment",
    "parse_value",
    "read_recipe",
    "resolve",
]
