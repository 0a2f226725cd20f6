"""`recurra demo`."""

from typing import Annotated

import typer

from recurra.cli.interrupts import dying_at_once
from recurra.cli.output import print_metrics, print_table, progress
from recurra.errors import UsageError
from recurra.tasks import TASKS


def demo(
    task: Annotated[str, typer.Argument(help=f"The task: {', '.join(TASKS)}.")] = "language-modelling",
    run: Annotated[str | None, typer.Option(help="Folder to write; by default a new one in runs/.")] = None,
) -> None:
    """Train a small model on data that needs no download: half a minute to three on two cores.

    Examples: recurra demo; recurra demo classification; recurra demo forecasting
    """
    import time

    if task not in TASKS:
        raise UsageError(f"demo {task!r}: unknown; known: {', '.join(TASKS)}")
    with dying_at_once():
        import recurra
        from recurra.inspection import evaluation_page, learning_curve
        from recurra.runs import METRICS, Run
        from recurra.training.session import free_run

        chosen = TASKS[task].demo

    started = time.monotonic()
    print(f"{chosen.about}\n")
    target = run or free_run(f"demo-{task}").folder
    folder = recurra.train(task, chosen.data, run=target, progress=progress(quiet=False), **chosen.recipe)
    metrics, model = Run(folder).read_json(METRICS), recurra.load(folder)
    print_metrics(metrics, model.task)
    versions = " (Python 3.11; other versions carry other texts)" if chosen.data.startswith("python-") else ""
    metric = model.task.primary_metric.name
    print(f"\nTest {metric.replace('_', ' ')}, expected{versions} against got:")
    for name, expected in chosen.expected.items():
        print(f"  {name:14} {expected:8.4g} {metrics[name]['test'][metric]:8.4g}")
    print()
    for part in chosen.show(model):
        if isinstance(part, str):
            print(part)
        else:
            print_table(part.columns, part.rows)
    curve, page = learning_curve(folder), evaluation_page(folder)
    minutes = (time.monotonic() - started) / 60
    print(f"\n{minutes:.1f} minutes. The run is in {folder}; its learning curve: {curve}")
    if page:
        print(f"Predictions for the test data: {page}")
    print(f"\nNext:\n{chosen.next.format(run=folder)}")
