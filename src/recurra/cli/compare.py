"""`recurra compare`."""

from pathlib import Path
from typing import Annotated

import typer

from recurra.cli.interrupts import dying_at_once
from recurra.cli.output import Json, print_json, print_table, print_text


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="Folders that `recurra train` made, of one task.", show_default=False),
    ],
    out: Annotated[str, typer.Option(metavar="FILE", help="HTML page to write.")] = "comparison.html",
    as_json: Json = False,
) -> None:
    """What several runs of one task reach, side by side; and a page with their learning curves in one chart.

    Example: recurra compare runs/elman runs/lstm runs/gru --out adding.html
    """
    with dying_at_once():
        from recurra.inspection.comparison import comparison_page, final_metrics, read_compared_runs, share_data
        from recurra.training.card import figure

    compared = read_compared_runs(runs)
    page = comparison_page(compared, Path(out))
    rows, split, primary_metric = final_metrics(compared), compared[0].split, compared[0].primary_metric
    if as_json:
        print_json({"primary_metric": primary_metric.name, "split": split, "metrics": rows, "page": str(page)})
        return
    columns = list(dict.fromkeys(name for values in rows.values() for name in values))
    print_table(
        [f"on {split}", *(name.replace("_", " ") for name in columns)],
        [[who, *(figure(values.get(name)) for name in columns)] for who, values in rows.items()],
        folds=False,
    )
    if not share_data(compared):
        print_text("These runs were not evaluated on the same data.")
    print(f"chart {page}")
