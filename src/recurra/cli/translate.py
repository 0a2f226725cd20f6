"""`recurra translate`."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from recurra.cli.output import (
    STANDARD_INPUT,
    Device,
    RunFolder,
    groups,
    not_for,
    open_model,
    print_line,
    progress,
    read_lines,
    readable,
)
from recurra.cli.renderings import Beam, CoveragePenalty, LengthPenalty, NumBest, print_renderings, told_of
from recurra.errors import DataError, UsageError

if TYPE_CHECKING:
    from recurra.inference import TrainedTranslator
    from recurra.tasks.translation.trained import TranslatedText

AT_ONCE = 64  # texts


def translate(
    run: RunFolder,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]...",
            help=f"None or -: standard input, a line a text; piped into, {AT_ONCE} are answered at a time.",
        ),
    ] = None,
    file: Annotated[str | None, typer.Option("--file", "-f", help="Read texts from a table, or lines.")] = None,
    source: Annotated[str | None, typer.Option(help="Column of the table with the texts, as --file.")] = None,
    beam: Beam = None,
    num_best: NumBest = 1,
    length_penalty: LengthPenalty = None,
    coverage_penalty: CoveragePenalty = None,
    draw: Annotated[bool, typer.Option("--draw", help="Draw each token instead of searching for the best.")] = False,
    temperature: Annotated[
        float | None, typer.Option(help="Of a draw: above 1 bolder, below 1 safer; by default 1.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Of a draw: from this many of the likeliest tokens.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Of a draw: same seed, same text.")] = None,
    picture: Annotated[
        bool, typer.Option("--picture", help="Draw what was read of each source, into the run folder.")
    ] = False,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, a line each.")] = False,
) -> None:
    """Translate texts, each a line; without texts and file, one answer for each line of standard input.

    Examples: recurra translate runs/multi30k "ein hund rennt"; recurra translate runs/multi30k --file new.de > new.en;
    recurra translate runs/multi30k "ein hund rennt" --num-best 3 --picture
    """
    searched = {"beam": beam, "length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
    drawn = {"temperature": temperature, "top_k": top_k, "seed": seed}
    refuse_idle(drawn if not draw else {**searched, "num_best": num_best if num_best > 1 else None}, draw)
    model = open_model(run, device)
    from recurra.figures.pages import write_charts
    from recurra.inference import TrainedTranslator
    from recurra.tasks.translation.page import FILE, alignment_figure
    from recurra.tasks.translation.trained import generator_of

    if not isinstance(model, TrainedTranslator):
        raise not_for(run, "translates nothing", model.task)
    if picture and model.task.recipe.model.attention == "none":
        raise UsageError(f"--picture: {run} has no attention, so nothing of a source is read again")
    heat, random, alignments = 1.0 if temperature is None else temperature, generator_of(seed), []
    for several in groups(given(model, texts or [], file, source), at_once=1 if is_typed(texts, file) else AT_ONCE):
        full = [text for text in several if text]  # an empty line of standard input has an empty answer
        if draw:
            found = model.sample(full, temperature=heat, top_k=top_k, seed=random)
        else:
            found = model.translate(
                full, beam=beam, num_best=num_best, length_penalty=length_penalty, coverage_penalty=coverage_penalty
            )
        show(several, found, num_best, as_json)
        alignments += [one.alignment for one in found] if picture else []
    if picture:
        title = f"{model.run.folder.name}: alignments"
        print(write_charts(model.run.path(FILE), title, alignments, alignment_figure), file=sys.stderr)


def refuse_idle(options: dict[str, float | None], draw: bool) -> None:
    """Refuse options that would do nothing."""
    for name, value in options.items():
        if value is not None:
            reason = "is for a search, --draw writes one translation each" if draw else "is for --draw"
            raise UsageError(f"--{name.replace('_', '-')} {reason}; leave one of them out")


def is_typed(texts: list[str] | None, file: str | None) -> bool:
    """Whether somebody waits for the answer to each line."""
    return not texts and not file and sys.stdin.isatty()


def given(model: "TrainedTranslator", texts: list[str], file: str | None, column: str | None) -> Iterator[str]:
    """What is to be translated: arguments and a file, else standard input as it comes.

    Args:
        model: knows where sources stand in pairs.
        texts: arguments.
        file: a table or lines.
        column: of the table, where that is another than in training.
    """
    from recurra.data.text.pairs import read_sources

    texts = [] if texts == [STANDARD_INPUT] else texts
    for number, text in enumerate(texts, 1):
        name = f"text {number} of {len(texts)}"
        if not text.strip():
            raise DataError(f"{name}: empty, so nothing to translate; leave it out")
        yield readable(text, name)
    if file:
        sides = model.task.recipe.data.sides
        sides = sides if column is None else sides._replace(source=column)
        yield from read_sources(file, sides, progress(quiet=False))
    if not (texts or file):
        yield from (line.strip() for line in read_lines())


def show(texts: list[str], found: "list[TranslatedText]", num_best: int, as_json: bool) -> None:
    """Translations of the texts that are not empty: running text, or a table of several; nothing of the others."""
    answers = iter(found)
    for text in texts:
        if not text:
            print("null" if as_json else "", flush=True)
            continue
        one = next(answers)
        if as_json:
            renderings = told_of(one.renderings)
            print_line({"source": one.source, **renderings, "alignment": one.alignment, "unknown": one.unknown})
        else:
            print_renderings(one.source, one.renderings, num_best)
