"""Write the tables of docs/recipes.md anew, after a change of options: `make docs`."""

from pathlib import Path

from recurra.config import leaf_options
from recurra.tasks import TASKS

PAGE = Path(__file__).with_name("recipes.md")


def table(name: str) -> str:
    """The options of a task."""
    rows = [
        f"| `{option.key}` | {option.default} | {option.about} |"
        for option in leaf_options(TASKS[name].task.recipe_type)
    ]
    return "\n".join([f"## {name}", "", "| key | default | meaning |", "| --- | --- | --- |", *rows, ""])


def page() -> str:
    """The page with its tables as they should be; they stand behind all else.

    Raises:
        SystemExit: the page has no table of the first task.
    """
    heading = f"## {next(iter(TASKS))}\n"
    introduction, found, _ = PAGE.read_text().partition(heading)
    if not found:
        raise SystemExit(f"{PAGE}: no line {heading.strip()!r}; the tables begin there")
    return introduction + "\n".join(map(table, TASKS))


if __name__ == "__main__":
    PAGE.write_text(page())
