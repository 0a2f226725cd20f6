"""The model card: README.md of a run folder."""

from collections.abc import Mapping
from typing import Any

import recurra
from recurra.progress import in_words
from recurra.runs import RECIPE, Run
from recurra.tasks.task import Task


def model_card(run: Run, task: Task, metrics: Mapping[str, Any]) -> str:
    """Markdown: task, data, scores beside the baselines, how to use the model and how to train it again."""
    training = metrics["training"]
    rows = metric_rows(metrics)
    columns = list(dict.fromkeys(name for _, _, values in rows for name in values))
    table = [f"| model | data | {' | '.join(columns)} |", "| --- " * (len(columns) + 2) + "|"]
    for who, split, values in rows:
        table.append(f"| {who} | {split} | {' | '.join(figure(values.get(name)) for name in columns)} |")
    return "\n".join(
        [
            f"# {run.folder.name}",
            "",
            f"A model for {task.name}, trained by Recurra {recurra.__version__} on `{task.recipe.data.path}`: "
            f"{training['parameters']:,} parameters. {training_in_words(training)}",
            "",
            *table,
            "",
            "Use it:",
            "",
            f"    recurra {task.usage.format(run=run)}",
            f"    recurra info {run}",
            f"    recurra evaluate {run}",
            "",
            "Train it again, to the same figures on the same machine:",
            "",
            f"    recurra train {run}/{RECIPE}",
            "",
        ]
    )


def training_in_words(training: Mapping[str, Any]) -> str:
    """Length of the training and the step whose weights were kept, in words."""
    return (
        f"Trained for {training['steps']:,} steps ({training['epochs']} whole epochs) in "
        f"{in_words(training['seconds'])}; the weights are those after step {training['best_step']:,}, the best on the "
        "validation data."
    )


def metric_rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, float]]]:
    """Model or baseline, split, and scores; the model first."""
    return [
        (who, split, values) for who, splits in metrics.items() if who != "training" for split, values in splits.items()
    ]


def figure(value: float | None) -> str:
    """A number for a table: whole with separators, else four significant digits."""
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}"
