"""Reading, overriding, comparing and writing recipes."""

import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import Field

from recurra.config.schema import Section
from recurra.config.training import TrainingOptions
from recurra.errors import DataError, UsageError

Values = dict[str, Any]


class Recipe(Section):
    """What every recipe holds; a task adds its `[data]` and `[model]`."""

    task: str = Field(description="name of the task")
    seed: int = Field(1, ge=0, lt=2**63, description="seed of initial weights, dropout and order")
    device: str = Field("cpu", description="torch device to train on")
    training: TrainingOptions = TrainingOptions()


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def read_recipe(path: Path) -> Values:
    """Values of a TOML file, not yet checked.

    Raises:
        DataError: no such file, not UTF-8, or not TOML; the message names the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"recipe {path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"recipe {path}: is a folder; name the .toml file in it") from None
    except OSError as error:
        raise DataError(f"recipe {path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"recipe {path}: not a TOML file: {error}") from None


def resolve(schema: type[AnyRecipe], values: Mapping[str, Any], overrides: Mapping[str, Any], origin: str) -> AnyRecipe:
    """A checked recipe from file values and overrides by dotted key.

    Args:
        schema: recipe type of the task.
        values: what the file said; may be empty.
        overrides: dotted key to value; these win.
        origin: name of the recipe for messages.

    Raises:
        UsageError: an unknown key or an impossible value, from either.
    """
    merged = deepcopy(dict(values))
    for dotted, value in overrides.items():
        *path, leaf = dotted.split(".")
        table = merged
        for part in path:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise UsageError(f"{origin}: {dotted}: {part} is a value, not a section")
        table[leaf] = value
    return schema.parse(merged, origin)


def dump(recipe: Recipe) -> str:
    """The recipe as TOML, every default written out; options that are off are left out."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested tables."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def differences(one: Recipe, other: Recipe) -> dict[str, tuple[Any, Any]]:
    """Dotted keys in which two recipes differ, with both values."""
    first, second = dict(leaves(one.model_dump(mode="json"))), dict(leaves(other.model_dump(mode="json")))
    return {
        key: (first.get(key), second.get(key))
        for key in first.keys() | second.keys()
        if first.get(key) != second.get(key)
    }
