"""What the documents say about options is what the schema says."""

from pathlib import Path

import pytest

from recurra.config import leaf_options, read_recipe, resolve
from recurra.tasks import TASKS, task_type

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))


@pytest.mark.parametrize("name", TASKS)
def test_every_option_is_documented_with_its_default(name: str) -> None:
    _, _, section = (ROOT / "docs" / "recipes.md").read_text().partition(f"## {name}\n")
    rows = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    options = leaf_options(TASKS[name].recipe_type)
    assert rows == [f"| `{option.key}` | {option.default} | {option.about} |" for option in options]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_are_valid(path: Path) -> None:
    values = read_recipe(path)
    recipe = resolve(task_type(values["task"]).recipe_type, values, {}, path.name)
    assert recipe.data.path
