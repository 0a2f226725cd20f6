"""How texts that a model writes are asked for and printed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.output import print_table

if TYPE_CHECKING:
    from recurra.tasks.translation.trained import Rendering

Beam = Annotated[
    int | None,
    typer.Option(help="Hypotheses under way; 1 takes the likeliest token each time. By default that of the recipe."),
]
NumBest = Annotated[int, typer.Option("--num-best", "-n", min=1, help="Texts of each, from a beam at least as wide.")]
LengthPenalty = Annotated[float | None, typer.Option(help="0 prefers short texts, 1 is nearly the mean.")]
CoveragePenalty = Annotated[
    float | None, typer.Option(help="Above 0 punishes parts of the source that nothing was read of.")
]


def print_renderings(about: str, renderings: "Sequence[Rendering]", num_best: int, *, has_names: bool = False) -> None:
    """Texts as `print_texts` prints them; one that was cut off says so."""
    texts = [one.text if one.complete else f"{one.text} ... (cut off)" for one in renderings]
    rows = [(text, one.score, one.log_probability) for text, one in zip(texts, renderings, strict=True)]
    print_texts(about, rows, num_best, has_names=has_names)


def print_texts(about: str, rows: Sequence[tuple[str, float, float]], num_best: int, *, has_names: bool) -> None:
    """The best text, or a table of several.

    Args:
        about: what they are about: a text, or the name of a file.
        rows: each text with its score and its log-probability, the best first; none where nothing was found.
        num_best: how many were asked for; of one there is no table.
        has_names: whether the best alone stands behind what it is about and a tab.
    """
    if num_best == 1:
        print(f"{about}\t" if has_names else "", rows[0][0] if rows else "", sep="", flush=True)
    else:
        cells = [(text, f"{score:.3f}", f"{log_probability:.2f}") for text, score, log_probability in rows]
        print_table((about, "score", "log-probability"), cells)


def told_of(renderings: "Sequence[Rendering]") -> dict[str, Any]:
    """The same for a program."""
    return {"texts": [one._asdict() for one in renderings]}
