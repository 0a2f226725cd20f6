"""Base class of recipe sections, its error messages, and value types that several sections share."""

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

MAX_LISTED_KEYS = 12  # in an error message
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}  # in a unit of time


class Section(BaseModel):
    """A table of a recipe. Immutable; unknown keys, NaN and infinities are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def refuse_boolean_for_number(cls, value: object, info: ValidationInfo) -> object:
        """Python takes `true` for 1; in a recipe it is a mistake."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and annotation in (int, float, int | None, float | None):
            raise ValueError("a number")
        return value

    @classmethod
    def parse(cls, values: Mapping[str, Any], origin: str) -> Self:
        """Create a section from plain values.

        Args:
            values: as read from TOML, nested by section.
            origin: name of their source in error messages.

        Raises:
            UsageError: unknown keys or impossible values. The message lists all of them, with the nearest known key or
                with what was expected.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            lines = [explain(cls, dict(problem)) for problem in error.errors()]
            raise UsageError(f"{origin}: " + "; ".join(dict.fromkeys(lines))) from None


def explain(section: type[BaseModel], problem: Mapping[str, Any]) -> str:
    """One message for one of pydantic's errors: the key, what was expected, what was found."""
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
    if isinstance(problem["input"], Mapping):  # a check over several keys; its message names them
        return f"{name}: expected {expected}"
    return f"{name}: expected {expected}, got {problem['input']!r}"


def section_at(section: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """The section at a path of keys; None if there is a value."""
    for part in path:
        annotation = section.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return None
        section = annotation
    return section


def known_keys(section: type[BaseModel], path: list[str]) -> set[str]:
    """The keys of the section at a path; none if there is a value."""
    found = section_at(section, path)
    return set(found.model_fields) if found else set()


def required_keys(section: type[BaseModel], path: list[str]) -> list[tuple[str, str]]:
    """The required keys at or below a path, dotted, each with its description."""
    below = section_at(section, path)
    if below is not None:
        names = [name for name, field in below.model_fields.items() if field.is_required()]
        return [pair for name in names for pair in required_keys(section, [*path, name])]
    holder = section_at(section, path[:-1])
    about = holder.model_fields[path[-1]].description if holder else None  # no holder: an element of a list
    return [(".".join(path), about or "")]


def unknown_key(name: str, known: list[str], command: str = "recurra train") -> str:
    """The error message for an unknown key or `--option`, with the nearest known one."""
    is_option = name.startswith("--")
    wanted = name.removeprefix("--").rpartition(".")[2].replace("-", "_")
    near = difflib.get_close_matches(wanted, [key.rpartition(".")[2] for key in known], n=1, cutoff=0.5)
    if near:
        hint = f"did you mean {'--' + near[0].replace('_', '-') if is_option else repr(near[0])}?"
    elif len(known) <= MAX_LISTED_KEYS:
        hint = f"known: {', '.join(known)}"
    else:
        hint = f"{command} --help lists them all"
    return f"{name}: unknown {'option' if is_option else 'key'}; {hint}"


def parse_duration(value: object) -> object:
    """Convert a duration such as "90s", "10m" or "1.5h" to seconds; anything but text is left to pydantic."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", value.strip())
    if not match:
        raise ValueError("a duration such as 90s, 10m or 1.5h")
    return float(match[1]) * SECONDS[match[2] or "s"]


Duration = Annotated[float, BeforeValidator(parse_duration)]  # seconds


def as_texts(value: object) -> object:
    """Convert to a list of strings: from a command line, `2,4` arrives as numbers and a single name not as a list."""
    values = value if isinstance(value, list | tuple) else [value]
    is_plain = all(isinstance(name, str | int) and not isinstance(name, bool) for name in values)
    return [str(name) for name in values] if is_plain else value


Names = Annotated[list[str], Field(min_length=1), BeforeValidator(as_texts)]


def check_shares(shares: tuple[float, float, float]) -> tuple[float, float, float]:
    """Require positive shares with a sum of 1."""
    if min(shares) <= 0 or not math.isclose(sum(shares), 1):
        raise ValueError("shares above 0 that add up to 1")
    return shares


Shares = Annotated[tuple[float, float, float], AfterValidator(check_shares)]  # training, validation and test
