"""Recipe keys on the command line: every key of the schema is an option of `recurra train`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recurra.cli.output import STANDARD_INPUT
from recurra.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel


def read_words(
    schema: "type[BaseModel]", words: Sequence[str], command: str = "recurra train"
) -> tuple[list[str], dict[str, Any]]:
    """Plain arguments, and options by dotted key.

    Args:
        schema: its fields are the options: a recipe type, or the options of a verb.
        words: such as `corpus.txt --epochs 5 --hidden-size=256,128 --tie-embeddings`.
        command: whose --help lists the options, for messages.

    Raises:
        UsageError: no such option, or one without its value.
    """
    from recurra.config import find_option

    plain: list[str] = []
    options: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("--") or " " in word:
            if word.startswith("-") and word != STANDARD_INPUT and " " not in word:
                raise UsageError(f"{word}: unknown option; {command} --help lists them all")
            plain.append(word)
            continue
        name, equals, text = word[2:].partition("=")
        off = name.startswith("no-") and not equals
        option = find_option(schema, f"--{name.removeprefix('no-') if off else name}", command)
        if option.is_switch and not equals:
            options[option.key] = not off
            continue
        if not equals:
            text = next(rest, "")
            if not text:
                raise UsageError(f"--{name}: expected a value after it ({option.about})")
        options[option.key] = option.parse(text)
    return plain, options


def option_rows(schema: "type[BaseModel]") -> list[tuple[str, str, str]]:
    """Each option with its default and what it means."""
    from recurra.config import leaf_options

    return [
        (f"--{option.key.rpartition('.')[2].replace('_', '-')}", option.default, option.about)
        for option in leaf_options(schema)
        if option.key != "task"
    ]


def one_of(plain: list[str]) -> str | None:
    """The data among the words of a command line, if it is named there.

    Raises:
        UsageError: more than one.
    """
    if len(plain) > 1:
        raise UsageError(
            f"expected one DATA, got {' '.join(plain)}; put more files into a folder (files side by side, such as "
            "train.de and train.en, with --source de --target en)"
        )
    return plain[0] if plain else None
