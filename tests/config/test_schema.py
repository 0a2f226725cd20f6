"""Error messages of recipe sections."""

from typing import Any

import pytest
from pydantic import Field

from recurra.config import Duration, Section, TrainingOptions
from recurra.errors import UsageError


class Inner(Section):
    width: int = Field(3, ge=1)
    share: float | None = Field(None, gt=0)
    bold: bool = False


class Outer(Section):
    name: str
    limit: Duration = Field(60.0, gt=0)
    inner: Inner = Inner()


def message(values: dict[str, Any]) -> str:
    with pytest.raises(UsageError) as caught:
        Outer.parse(values, "recipe x.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"name": "a", "innr": {}}, "recipe x.toml: innr: unknown key; did you mean 'inner'?"),
        ({"name": "a", "inner": {"widht": 2}}, "recipe x.toml: inner.widht: unknown key; did you mean 'width'?"),
        ({"name": "a", "inner": {"qqq": 2}}, "inner.qqq: unknown key; known: bold, share, width"),
        ({}, "recipe x.toml: name: is required"),
        ({"name": 5}, "name: expected a valid string, got 5"),
        ({"name": "a", "inner": {"width": 0}}, "inner.width: expected greater than or equal to 1, got 0"),
        ({"name": "a", "inner": {"width": 2.5}}, "inner.width: expected a valid integer"),
        ({"name": "a", "inner": {"width": True}}, "inner.width: expected a number, got True"),
        ({"name": "a", "inner": {"share": False}}, "inner.share: expected a number, got False"),
        ({"name": "a", "inner": {"share": float("nan")}}, "inner.share: expected a finite number, got nan"),
        ({"name": "a", "inner": {"bold": "perhaps"}}, "inner.bold: expected a valid boolean"),
        ({"name": "a", "inner": 3}, "inner: expected"),
        ({"name": "a", "limit": "soon"}, "limit: expected a duration such as 90s, 10m or 1.5h, got 'soon'"),
        ({"name": "a", "limit": "0s"}, "limit: expected greater than 0, got 0.0"),
        ({"name": "a", "limit": True}, "limit: expected a number, got True"),
    ],
)
def test_each_mistake_is_named_with_its_key_and_what_was_expected(values: dict[str, Any], expected: str) -> None:
    assert expected in message(values)


def test_all_mistakes_are_in_one_message() -> None:
    told = message({"inner": {"widht": 1, "share": -1}})
    assert all(part in told for part in ("name: is required", "inner.widht", "inner.share"))


@pytest.mark.parametrize(
    ("typed", "seconds"), [(90, 90), (0.5, 0.5), ("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("2 d", 172800)]
)
def test_durations(typed: object, seconds: float) -> None:
    assert Outer.parse({"name": "a", "limit": typed}, "x").limit == seconds


@pytest.mark.parametrize("typed", ["-5s", "10 minutes", "1h30m", "", "s", "1e3"])
def test_no_durations(typed: str) -> None:
    assert "a duration such as" in message({"name": "a", "limit": typed})


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"epochs": 0}, "epochs"),
        ({"clip_norm": -1}, "clip_norm"),
        ({"clip_value": -0.5}, "clip_value"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"decay": 1.0}, "decay"),
        ({"momentum": 1}, "momentum"),
        ({"patience": 0}, "patience"),
        ({"optimizer": "adamax"}, "optimizer"),
        ({"schedule": "epoch"}, "schedule"),
        ({"warmup_steps": -1}, "warmup_steps"),
        ({"time": 0}, "time"),
        ({"checkpoint_every": "0m"}, "checkpoint_every"),
    ],
)
def test_impossible_training_values(values: dict[str, Any], key: str) -> None:
    with pytest.raises(UsageError, match=f"^recipe: {key}: expected .*, got "):
        TrainingOptions.parse(values, "recipe")


def test_one_clipping_at_a_time() -> None:
    with pytest.raises(UsageError, match="clip_norm or clip_value, not both"):
        TrainingOptions.parse({"clip_norm": 5.0, "clip_value": 1.0}, "recipe")
    assert TrainingOptions.parse({"clip_norm": 5.0}, "recipe").clip_norm == 5.0
    by_value = TrainingOptions.parse({"clip_value": 2.0}, "recipe")
    assert (by_value.clip_value, by_value.clip_norm) == (2.0, 0.0)
