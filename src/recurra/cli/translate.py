"""`recurra translate`."""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from recurra.cli.output import Device, RunFolder, open_model, print_line, print_table, read_lines
from recurra.errors import UsageError

if TYPE_CHECKING:
    from recurra.inference import TrainedTranslator
    from recurra.inference.translation import TranslatedText

AT_ONCE = 64  # texts


def translate(
    run: RunFolder,
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="None: standard input, a line a text.")
    ] = None,
    file: Annotated[str | None, typer.Option("--file", "-f", help="Read texts from a table, or lines.")] = None,
    beam: Annotated[
        int | None,
        typer.Option(
            help="Hypotheses under way; 1 takes the likeliest token each time. By default that of the recipe."
        ),
    ] = None,
    num_best: Annotated[int, typer.Option("--num-best", "-n", help="Translations of each text.")] = 1,
    length_penalty: Annotated[
        float | None, typer.Option(help="0 prefers short translations, 1 is nearly the mean.")
    ] = None,
    coverage_penalty: Annotated[
        float | None, typer.Option(help="Above 0 punishes source that nothing was read of.")
    ] = None,
    draw: Annotated[bool, typer.Option("--draw", help="Draw each token instead of searching for the best.")] = False,
    temperature: Annotated[float, typer.Option(help="Where tokens are drawn: above 1 bolder, below 1 safer.")] = 1.0,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Where tokens are drawn: same seed, same text.")
    ] = None,
    picture: Annotated[
        bool, typer.Option("--picture", help="Draw what was read of each source, into the run folder.")
    ] = False,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, a line each.")] = False,
) -> None:
    """Translate texts, each a line; without texts and file, one answer for each line typed.

    Examples: recurra translate runs/multi30k "ein hund rennt"; recurra translate runs/multi30k --file new.de > new.en;
    recurra translate runs/multi30k "ein hund rennt" --num-best 3 --picture
    """
    if draw and num_best > 1:
        raise UsageError("--draw writes one translation each; leave --num-best out, or call it with several seeds")
    model = open_model(run, device)
    from recurra.inference import TrainedTranslator
    from recurra.inspection.translations import FILE, alignment_page

    if not isinstance(model, TrainedTranslator):
        raise UsageError(f"{run}: translates nothing, its task is {model.task.name}; see recurra predict")
    found: list[TranslatedText] = []
    sources = given(model, texts or [], file)
    while several := list(islice(sources, AT_ONCE if texts or file else 1)):
        if draw:
            translated = model.sample(several, temperature=temperature, seed=seed)
        else:
            translated = model.translate(
                several, beam=beam, num_best=num_best, length_penalty=length_penalty, coverage_penalty=coverage_penalty
            )
        show(translated, num_best, as_json)
        found += translated if picture else []
    if picture:
        page = model.run.path(FILE)
        print(
            alignment_page([one.alignment for one in found], page, f"{model.run.folder.name}: alignments"),
            file=sys.stderr,
        )


def given(model: "TrainedTranslator", texts: list[str], file: str | None) -> Iterator[str]:
    """What is to be translated: arguments and a file, else standard input as it comes."""
    from recurra.data.pairs import read_sources

    yield from texts
    if file:
        yield from read_sources(file, model.task.recipe.data.source)
    if not (texts or file):
        yield from (line for line in read_lines() if line.strip())


def show(found: "Sequence[TranslatedText]", num_best: int, as_json: bool) -> None:
    """Translations: running text, or a table of several."""
    for one in found:
        if as_json:
            renderings = [rendering._asdict() for rendering in one.renderings]
            print_line({"source": one.source, "translations": renderings, "unknown": one.unknown})
        elif num_best > 1:
            rows = [(each.text, f"{each.score:.3f}", f"{each.log_probability:.2f}") for each in one.renderings]
            print_table((one.source, "score", "log-probability"), rows)
        else:
            print(one.text, flush=True)
