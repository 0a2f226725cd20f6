"""Recipe keys as options: `--hidden-size 256,128` or `hidden_size=[256, 128]` for `model.hidden_size`."""

import tomllib
from collections.abc import Iterator
from functools import reduce
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from recurra.config.schema import unknown_key
from recurra.errors import UsageError


class Option(NamedTuple):
    """One key of a recipe, with its type, default and description."""

    key: str  # dotted, such as training.batch_size
    field: FieldInfo

    @property
    def is_switch(self) -> bool:
        """Whether it is a boolean, `--name` or `--no-name` on the command line."""
        return self.field.annotation is bool

    @property
    def is_text(self) -> bool:
        """Whether its value is a string and must not be parsed: a path may be named 1984."""
        return self.field.annotation is str or self.field.annotation == str | None

    @property
    def is_list(self) -> bool:
        """Whether its value is a list, or a list or None."""
        annotation = self.field.annotation
        return any(get_origin(kind) is list for kind in (annotation, *get_args(annotation)))

    @property
    def about(self) -> str:
        """Its description, with the possible values if it is a choice."""
        meaning = self.field.description or ""
        if get_origin(self.field.annotation) is not Literal:
            return meaning
        *others, last = map(str, get_args(self.field.annotation))
        return f"{meaning} ({', '.join(others)} or {last})" if others else meaning

    def parse(self, text: str) -> Any:
        """Parse its value from the command line, without checking it against the schema.

        Switches take `on` and `off`; a single value for a list becomes a list of one.
        """
        if text in get_args(self.field.annotation):  # a choice; one of its values may be named "none"
            return text
        value = parse_value(text)
        if self.is_text:
            is_none = value is None and self.field.annotation is not str
            return value if isinstance(value, str) or is_none else text
        if self.is_switch:
            return {"on": True, "off": False}.get(text, value)
        return [value] if self.is_list and not isinstance(value, list) and value is not None else value

    @property
    def default(self) -> str:
        """Its default as typed on a command line; "required" if it has none."""
        if self.field.is_required():
            return "required"
        return as_typed(self.field.get_default(call_default_factory=True, validated_data={}))

    def value_in(self, recipe: BaseModel) -> Any:
        """Its value in a recipe."""
        return reduce(getattr, self.key.split("."), recipe)


def as_typed(value: Any) -> str:
    """A value as typed on a command line: the inverse of `Option.parse`."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "on", False: "off"}[value]
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def leaf_options(schema: type[BaseModel], prefix: str = "") -> Iterator[Option]:
    """All keys of a recipe type, sections flattened, in the order of the schema."""
    for name, field in schema.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from leaf_options(annotation, f"{prefix}{name}.")
        else:
            yield Option(prefix + name, field)


def find_option(schema: type[BaseModel], name: str, command: str = "recurra train") -> Option:
    """Find an option by its dotted key or the last part of it; `--hidden-size` and `hidden_size` are the same.

    Args:
        schema: its leaves are the options.
        name: as typed.
        command: whose --help lists the options, for the message.

    Raises:
        UsageError: no option of this name, or several.
    """
    wanted = name.removeprefix("--").replace("-", "_")
    options = list(leaf_options(schema))
    found = [option for option in options if wanted in (option.key, option.key.rpartition(".")[2])]
    if not found:
        raise UsageError(unknown_key(name, [option.key for option in options], command))
    if len(found) > 1:
        raise UsageError(f"{name}: ambiguous; say {' or '.join(option.key for option in found)}")
    return found[0]


def parse_assignment(schema: type[BaseModel], text: str) -> tuple[str, Any]:
    """Split `key=value` into the dotted key and the parsed value.

    Raises:
        UsageError: no equals sign, or an unknown key.
    """
    name, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"--set {text}: expected KEY=VALUE, such as training.batch_size=20")
    option = find_option(schema, name.strip())
    return option.key, option.parse(value.strip())


def parse_value(text: str) -> Any:
    """Parse a value from a command line: as TOML if it is valid TOML, else as a list at commas, else as a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if "," in text:
            return [parse_value(part.strip()) for part in text.split(",") if part.strip()]
        return None if text == "none" else text
