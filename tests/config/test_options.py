"""Recipe keys as options of the command line."""

from collections import Counter
from typing import Any

import pytest
from pydantic import Field

from recurra.config import Option, Section, find_option, leaf_options, parse_assignment, parse_value
from recurra.errors import UsageError
from recurra.tasks import TASKS


class Paint(Section):
    name: str = Field("red", description="color")
    second: str | None = Field(None, description="color under it")
    layers: list[int] = Field([2, 1], description="coats")
    shiny: bool = Field(True, description="varnish")
    size: int = Field(3, description="brush")
    grain: float | None = Field(None, description="grain")
    shares: list[float] | None = Field(None, description="shares of colors")


class Other(Section):
    size: float = Field(0.25, description="other size")


class House(Section):
    paint: Paint = Paint()
    other: Other = Other()
    owner: str = Field(description="who")


@pytest.mark.parametrize("task", TASKS)
def test_every_option_of_a_task_has_a_name_of_its_own_and_a_description(task: str) -> None:
    """Two keys with the same last part would make an option such as `--epochs` ambiguous."""
    options = list(leaf_options(TASKS[task].task.recipe_type))
    names = Counter(option.key.rpartition(".")[2] for option in options)
    assert [name for name, count in names.items() if count > 1] == []
    assert [option.key for option in options if not option.field.description] == []


@pytest.mark.parametrize("task", TASKS)
def test_defaults_are_what_one_would_type(task: str) -> None:
    """The help shows each default as text; parsing that text must give the default."""
    for option in leaf_options(TASKS[task].task.recipe_type):
        if not option.field.is_required():
            value = option.field.get_default(call_default_factory=True, validated_data={})
            assert option.parse(option.default) == (list(value) if isinstance(value, tuple) else value), option.key


def test_leaves_come_with_their_sections_in_order() -> None:
    assert [option.key for option in leaf_options(House)][-3:] == ["paint.shares", "other.size", "owner"]


def test_find_by_last_part_by_dotted_key_and_with_dashes() -> None:
    assert find_option(House, "layers").key == "paint.layers"
    assert find_option(House, "other.size").key == "other.size"
    assert find_option(TASKS["language-modelling"].task.recipe_type, "batch-size").key == "training.batch_size"


def test_an_ambiguous_name_lists_what_it_may_mean() -> None:
    with pytest.raises(UsageError, match=r"^size: ambiguous; say paint\.size or other\.size$"):
        find_option(House, "size")


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"^paint\.layer: unknown key; did you mean 'layers'\?$"):
        find_option(House, "paint.layer")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        ("true", True),
        ("none", None),
        ("256,128", [256, 128]),
        ("256,", [256]),
        ("[256, 128]", [256, 128]),
        ("0.8, 0.1, 0.1", [0.8, 0.1, 0.1]),
        ("10m", "10m"),
        ("'quoted'", "quoted"),
        ("a/b.txt", "a/b.txt"),
        ("", ""),
    ],
)
def test_values_as_typed(text: str, value: Any) -> None:
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("paint.size=7", ("paint.size", 7)),
        ("layers=4", ("paint.layers", [4])),
        ("layers=4,5", ("paint.layers", [4, 5])),
        ("name=1984", ("paint.name", "1984")),
        ("name=a,b.txt", ("paint.name", "a,b.txt")),
        ("name=none", ("paint.name", "none")),
        ("name=a=b", ("paint.name", "a=b")),
        ('name="red"', ("paint.name", "red")),
        ("second=none", ("paint.second", None)),
        ("second=2020-01-01", ("paint.second", "2020-01-01")),
        ("shiny=off", ("paint.shiny", False)),
        ("shiny=on", ("paint.shiny", True)),
        ("shiny=true", ("paint.shiny", True)),
        (" grain = none ", ("paint.grain", None)),
        ("shares=0.5", ("paint.shares", [0.5])),
        ("shares=0.5,0.25", ("paint.shares", [0.5, 0.25])),
        ("shares=none", ("paint.shares", None)),
    ],
)
def test_assignments(text: str, expected: tuple[str, Any]) -> None:
    assert parse_assignment(House, text) == expected


def test_an_assignment_needs_an_equals_sign() -> None:
    with pytest.raises(UsageError, match=r"--set paint\.size: expected KEY=VALUE"):
        parse_assignment(House, "paint.size")


def test_a_required_option_says_so() -> None:
    assert Option("owner", House.model_fields["owner"]).default == "required"
