"""What the documents say about options is what the schema says."""

import runpy
from pathlib import Path

import pytest

from recurra.config import leaf_options, read_recipe, resolve
from recurra.tasks import TASKS

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))


def test_every_option_is_documented_with_its_default() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "write_recipes.py"))["page"]()
    assert page == (ROOT / "docs" / "recipes.md").read_text(), "run make docs"
    for entry in TASKS.values():
        for option in leaf_options(entry.task.recipe_type):
            assert f"| `{option.key}` | {option.default} | {option.about} |" in page


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_valid(path: Path) -> None:
    values = read_recipe(path)
    recipe = resolve(TASKS[values["task"]].task.recipe_type, values, {}, path.name)
    assert recipe.data.path
