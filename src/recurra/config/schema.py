"""The building block of a recipe: a section that explains unknown keys and impossible values."""

import difflib
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from recurra.errors import UsageError

MOST_KEYS = 12  # that an error lists
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Section(BaseModel):
    """A table of a recipe: typed, read-only, closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def no_number_is_a_switch(cls, value: object, info: ValidationInfo) -> object:
        """To Python true is 1; in a recipe it is a mistake."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and annotation in (int, float, int | None, float | None):
            raise ValueError("a number")
        return value

    @classmethod
    def parse(cls, values: Mapping[str, Any], origin: str) -> Self:
        """Check values against the schema.

        Args:
            values: plain TOML values, nested by section.
            origin: where they came from, for the message.

        Raises:
            UsageError: each unknown key with the nearest known one, each impossible value with what was expected.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [explain(cls, dict(problem)) for problem in error.errors()]
            raise UsageError(f"{origin}: " + "; ".join(dict.fromkeys(lines))) from None


def explain(section: type[BaseModel], problem: Mapping[str, Any]) -> str:
    """One line for one of pydantic's problems: the key, what was expected, what came."""
    keys = [str(part) for part in problem["loc"]]
    name = ".".join(keys)
    if problem["type"] == "extra_forbidden":
        return unknown_key(name, sorted(known_keys(section, keys[:-1])))
    if problem["type"] == "missing":
        required = required_keys(section, keys)
        return "; ".join(f"{key}: is required{f' ({about})' if about else ''}" for key, about in required)
    if problem["type"] in ("model_type", "model_attributes_type"):
        return f"{name}: expected a section of keys, got {problem['input']!r}"
    expected = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if isinstance(problem["input"], Mapping):  # a rule about several keys; the message names them
        return f"{name}: expected {expected}"
    return f"{name}: expected {expected}, got {problem['input']!r}"


def section_at(section: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """The section that `path` leads to; None where that is a value."""
    for part in path:
        annotation = section.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return None
        section = annotation
    return section


def known_keys(section: type[BaseModel], path: list[str]) -> set[str]:
    """Keys of the section that `path` leads to."""
    found = section_at(section, path)
    return set(found.model_fields) if found else set()


def required_keys(section: type[BaseModel], path: list[str]) -> list[tuple[str, str]]:
    """The values without a default at or below a path, with what they mean."""
    below = section_at(section, path)
    if below is not None:
        names = [name for name, field in below.model_fields.items() if field.is_required()]
        return [pair for name in names for pair in required_keys(section, [*path, name])]
    holder = section_at(section, path[:-1])
    about = holder.model_fields[path[-1]].description if holder else None  # None: an element of a list
    return [(".".join(path), about or "")]


def unknown_key(name: str, known: list[str]) -> str:
    """The message for a key, or an option --so, that no schema has, with the nearest that it has."""
    is_option = name.startswith("--")
    wanted = name.removeprefix("--").rpartition(".")[2].replace("-", "_")
    near = difflib.get_close_matches(wanted, [key.rpartition(".")[2] for key in known], n=1, cutoff=0.5)
    if near:
        hint = f"did you mean {'--' + near[0].replace('_', '-') if is_option else repr(near[0])}?"
    elif len(known) <= MOST_KEYS:
        hint = f"known: {', '.join(known)}"
    else:
        hint = "recurra train --help lists them all"
    return f"{name}: unknown {'option' if is_option else 'key'}; {hint}"


def parse_duration(value: object) -> object:
    """Seconds of a duration such as 90, "90s", "10m", "1.5h"."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", value.strip())
    if not match:
        raise ValueError("a duration such as 90s, 10m or 1.5h")
    return float(match[1]) * SECONDS[match[2] or "s"]


Duration = Annotated[float, BeforeValidator(parse_duration)]


def as_texts(value: object) -> object:
    """A list of names as text: on a command line `2,4` are numbers, and a single name is no list."""
    values = value if isinstance(value, list | tuple) else [value]
    is_plain = all(isinstance(name, str | int) and not isinstance(name, bool) for name in values)
    return [str(name) for name in values] if is_plain else value


Names = Annotated[list[str], Field(min_length=1), BeforeValidator(as_texts)]


def add_up(shares: tuple[float, float, float]) -> tuple[float, float, float]:
    """Shares of a whole."""
    if min(shares) <= 0 or not math.isclose(sum(shares), 1):
        raise ValueError("shares above 0 that add up to 1")
    return shares


Shares = Annotated[tuple[float, float, float], AfterValidator(add_up)]  # training, validation and test
