"""Recipes from file to checked values and back."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.config import differences, dump, read_recipe, resolve
from recurra.errors import DataError, UsageError
from recurra.tasks import TASKS
from recurra.tasks.language_modelling.task import LanguageModellingRecipe

BARE: dict[str, Any] = {"data": {"path": "corpus.txt"}}
RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


def recipe(**overrides: Any) -> LanguageModellingRecipe:
    return resolve(LanguageModellingRecipe, BARE, {key.replace("__", "."): v for key, v in overrides.items()}, "recipe")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"task = \n", "not a TOML file: .*line 1"),
        (b"a = 1\na = 2\n", "not a TOML file: .*line 2"),
        (b"task = '\xff'\n", "not a TOML file: .*0xff"),
    ],
)
def test_a_file_that_is_no_toml(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^recipe .*r\.toml: {expected}"):
        read_recipe(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_recipe(tmp_path / "absent.toml")
    with pytest.raises(DataError, match="is a folder"):
        read_recipe(tmp_path)


def test_overrides_win_and_leave_the_values_alone() -> None:
    values = {"data": {"path": "a"}, "training": {"epochs": 3, "window": 7}}
    resolved = resolve(LanguageModellingRecipe, values, {"training.epochs": 9, "data.path": "b"}, "recipe")
    assert (resolved.training.epochs, resolved.training.window, resolved.data.path) == (9, 7, "b")
    assert values == {"data": {"path": "a"}, "training": {"epochs": 3, "window": 7}}


def test_an_override_of_a_section_that_is_a_value() -> None:
    with pytest.raises(UsageError, match=r"^recipe: training\.epochs: training is a value, not a section$"):
        resolve(LanguageModellingRecipe, {**BARE, "training": 3}, {"training.epochs": 9}, "recipe")


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"model__hidden_sise": [3]}, "model.hidden_sise: unknown key; did you mean 'hidden_size'?"),
        ({"model__hidden_size": []}, "model.hidden_size: expected"),
        ({"model__hidden_size": [4, 0]}, "widths of at least 1"),
        (
            {"model__tie_embeddings": True, "model__embedding_size": 6, "model__hidden_size": [5]},
            "hidden_size (5) equal to emb",
        ),
        ({"model__dropout": 1.0}, "model.dropout: expected less than 1, got 1.0"),
        ({"data__shares": [0.9, 0.2, 0.1]}, "shares above 0 that add up to 1"),
        ({"data__shares": [1.0, 0.0, 0.0]}, "shares above 0 that add up to 1"),
        ({"data__shares": [0.5, 0.5]}, "data.shares.2: is required"),
        ({"data__unit": "bpe", "data__vocabulary_size": 255}, "at least 256 where the unit is bpe"),
        ({"data__vocabulary_size": 1}, "data.vocabulary_size: expected greater than or equal to 2, got 1"),
        ({"training__window": 0}, "training.window: expected greater than or equal to 1, got 0"),
        ({"seed": -1}, "seed: expected greater than or equal to 0, got -1"),
        ({"task": "cooking"}, "task: expected 'language-modelling', got 'cooking'"),
    ],
)
def test_impossible_recipes(overrides: dict[str, Any], expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipe(**overrides)
    assert str(caught.value).startswith("recipe: ")
    assert expected in str(caught.value)


@given(
    epochs=st.integers(1, 10**6),
    rate=st.floats(1e-300, 1e300),
    hidden=st.lists(st.integers(1, 4096), min_size=1, max_size=4),
    clip=st.floats(0, 1e9),
    path=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    switch=st.booleans(),
)
def test_what_is_dumped_reads_back_as_the_same_recipe(
    epochs: int, rate: float, hidden: list[int], clip: float, path: str, switch: bool
) -> None:
    written = recipe(
        training__epochs=epochs,
        training__learning_rate=rate,
        training__clip_value=clip,
        model__hidden_size=hidden,
        data__path=path,
        data__lowercase=switch,
    )
    again = resolve(LanguageModellingRecipe, tomllib.loads(dump(written)), {}, "again")
    assert again == written
    assert differences(again, written) == {}


def test_differences_name_the_keys_with_both_values() -> None:
    one, other = recipe(), recipe(training__clip_norm=5.0, model__hidden_size=[8], data__valid="v.txt")
    assert differences(one, other) == {
        "training.clip_norm": (1.0, 5.0),
        "model.hidden_size": (one.model.hidden_size, [8]),
        "data.valid": (None, "v.txt"),
    }


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_shipped_recipes_fit_their_schema(path: Path) -> None:
    values = read_recipe(path)
    resolve(TASKS[values["task"]].task.recipe_type, values, {}, path.name)
