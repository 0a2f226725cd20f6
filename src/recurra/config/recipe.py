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
    """The keys that all recipes share; each task adds its `[data]` and `[model]` sections."""

    task: str = Field(description="name of the task")
    seed: int = Field(
        1, ge=0, lt=2**63, description="random seed of the initial weights, dropout and the order of the data"
    )
    device: str = Field("cpu", description="torch device, such as cpu, cuda or mps")
    training: TrainingOptions = TrainingOptions()


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def read_recipe(path: Path) -> Values:
    """Read a TOML file, without checking it against a schema.

    Raises:
        DataError: no such file, not UTF-8, or not TOML (the message names the line).
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
    """Combine the values of a file with overrides and check them against the schema.

    Args:
        schema: recipe type of the task.
        values: nested by section, as in the file; left unchanged.
        overrides: values by dotted key, which take precedence.
        origin: name of the recipe in error messages.

    Raises:
        UsageError: an unknown key or an impossible value in either.
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
    """The recipe as TOML with all defaults; keys without a value (None) are left out, since TOML has no null."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All values of nested tables, with their dotted keys."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def differences(one: Recipe, other: Recipe) -> dict[str, tuple[Any, Any]]:
    """The dotted keys whose values differ between two recipes, with both values."""
    first, second = dict(leaves(one.model_dump(mode="json"))), dict(leaves(other.model_dump(mode="json")))
    return {
        key: (first.get(key), second.get(key))
        for key in first.keys() | second.keys()
        if first.get(key) != second.get(key)
    }
