"""How texts that a model wrote are printed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recurra.cli.output import print_table

if TYPE_CHECKING:
    from recurra.inference.translation import Rendering


def print_renderings(about: str, renderings: "Sequence[Rendering]", num_best: int) -> None:
    """The best text, or a table of several; one that was cut off says so."""
    texts = [one.text if one.complete else f"{one.text} ... (cut off)" for one in renderings]
    if num_best == 1:
        print(texts[0], flush=True)
        return
    rows = [
        (text, f"{one.score:.3f}", f"{one.log_probability:.2f}") for text, one in zip(texts, renderings, strict=True)
    ]
    print_table((about, "score", "log-probability"), rows)


def told_of(renderings: "Sequence[Rendering]") -> dict[str, Any]:
    """The same for a program."""
    return {"texts": [one._asdict() for one in renderings]}
