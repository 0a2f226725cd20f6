"""Write the tables of docs/recipes.md anew, after a change of options: `make docs`."""

from pathlib import Path

from recurra.config import leaf_options
from recurra.tasks import TASKS

PAGE = Path(__file__).with_name("recipes.md")


def table(name: str) -> str:
    """The options of a task."""
    rows = [
        f"| `{option.key}` | {option.default} | {option.about} |" for option in leaf_options(TASKS[name].recipe_type)
    ]
    return "\n".join([f"## {name}", "", "| key | default | meaning |", "| --- | --- | --- |", *rows, ""])


if __name__ == "__main__":
    introduction, _, _ = PAGE.read_text().partition(f"## {next(iter(TASKS))}\n")
    PAGE.write_text(introduction + "\n".join(map(table, TASKS)))
