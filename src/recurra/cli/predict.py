"""`recurra predict`."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.output import (
    Device,
    RunFolder,
    groups,
    open_model,
    print_line,
    print_table,
    read_lines,
    warn_of_unknown,
)
from recurra.errors import UsageError

if TYPE_CHECKING:
    from recurra.inference import TrainedClassifier, TrainedLanguageModel, TrainedTagger
    from recurra.tasks.classification.trained import Prediction

AT_ONCE = 256  # examples
MOST_OTHERS = 2  # labels shown beside the likeliest
WIDEST = 60  # characters of an input shown
OTHERS = {  # what runs of other tasks do, and how
    "forecasting": "goes on from tables; see recurra forecast {run}",
    "memory": "reads sequences of numbers; in Python recurra.load({run!r}).predict(sequences)",
    "translation": "translates; see recurra translate {run}",
    "captioning": "writes about images; see recurra caption {run}",
    "speech": "hears recordings; see recurra transcribe {run}",
}


def predict(
    run: RunFolder,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT]...",
            help="Texts; files, where the model reads series. None: standard input, a line a text.",
        ),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option("--file", "-f", help="Read inputs from a table with texts, lines, or a file as for training."),
    ] = None,
    top: Annotated[int, typer.Option(help="How many next words a language model shows.")] = 10,
    score: Annotated[bool, typer.Option("--score", help="Of a language model: how likely each text is.")] = False,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, a line each.")] = False,
) -> None:
    """The most likely next words; the label of each text or series; the tag of each word. With probabilities.

    Runs that forecast, translate, caption or transcribe have commands of these names; those of memory are for Python.

    Examples: recurra predict runs/ptb-256-128 "this is an"; recurra predict runs/ptb-256-128 --score "he is" "is he";
    recurra predict runs/snips --file new.csv --json > labels.jsonl
    """
    model = open_model(run, device)
    from recurra.data.text.labelled import read_texts
    from recurra.data.text.tagged import read_tokens
    from recurra.inference import TrainedClassifier, TrainedLanguageModel, TrainedTagger

    if model.task.name in OTHERS:
        raise UsageError(f"{run}: {OTHERS[model.task.name].format(run=run)}")
    if score and not isinstance(model, TrainedLanguageModel):
        raise UsageError(f"--score: {run} is no language model; its predictions have their probabilities anyway")
    given = inputs or []
    if isinstance(model, TrainedClassifier):
        at_once = AT_ONCE if given or file else 1  # whoever writes a line may wait for its answer
        print_labels(model, contents(model, given, file), at_once, as_json)
        return
    if isinstance(model, TrainedTagger):
        columns, tags = model.task.recipe.data.columns, model.labels
        print_tags(model, texts(given, file, lambda path: read_tokens(path, columns, tags)), as_json)
        return
    assert isinstance(model, TrainedLanguageModel)
    lines = texts(given, file, lambda path: read_texts(path, "text"))
    if score:
        print_scores(model, lines, as_json)
    else:
        print_next_words(model, lines, top, as_json)


def texts(inputs: list[str], file: str | None, read: Callable[[str], Iterable[Any]]) -> Iterator[Any]:
    """Arguments and what `read` finds in a file, else lines of standard input as they come."""
    for text in inputs:
        if os.path.isfile(text):  # noqa: PTH113 (Path.is_file raises for a long text)
            print(f"{text} is read as a text; for the texts in it: --file {text}", file=sys.stderr)
        yield text
    if file:
        yield from read(file)
    if not (inputs or file):
        yield from read_lines()


def contents(model: "TrainedClassifier", inputs: list[str], file: str | None) -> Iterator[tuple[str, Any]]:
    """What is to be classified, with names."""
    reader = model.task.inputs
    if reads_texts(model):
        for line in texts(inputs, file, lambda path: (text for text, _ in reader.read(path, model.labels))):
            yield line.strip(), line.strip()
        return
    if not (inputs or file):
        raise UsageError(f"{model.run}: reads series; name their files: recurra predict {model.run} FILE")
    for path in filter(None, [*inputs, file]):
        yield from reader.read(path, model.labels)


def reads_texts(model: "TrainedClassifier") -> bool:
    """Whether it does, and not series."""
    return model.task.inputs.shape.vocabulary_size is not None


def print_labels(model: "TrainedClassifier", contents: Iterator[tuple[str, Any]], at_once: int, as_json: bool) -> None:
    """The label of each input with its probability; of an empty text none."""
    rows = []
    for given in groups(contents, at_once):
        answers = iter(model.predict([content for name, content in given if name]))
        for name, _ in given:
            found = next(answers) if name else None
            if as_json:
                print_line(found and {"input": name, **found._asdict()})
            else:
                rows.append(row_of(name, found, is_text=reads_texts(model)))
    if not as_json:
        print_table(("input", "label", "probability", "next"), rows)


def row_of(name: str, found: "Prediction | None", *, is_text: bool) -> tuple[str, str, str, str]:
    """An input with its label in a table: a text from its beginning, of a series the end of its place."""
    if found is None:
        return "", "", "", ""
    if len(name) > WIDEST:
        name = f"{name[: WIDEST - 3]}..." if is_text else f"...{name[3 - WIDEST :]}"
    others = list(found.probabilities.items())[1 : 1 + MOST_OTHERS]
    rest = ", ".join(f"{label} {probability:.3f}" for label, probability in others)
    return name, found.label, f"{found.probability:.4f}", rest


def print_tags(model: "TrainedTagger", sentences: Iterable[str | Sequence[str]], as_json: bool) -> None:
    """The tag of each token, with its probability; of an empty sentence nothing."""
    for sentence in sentences:
        found = model.predict([sentence])[0]
        if not found.tokens:
            print("null" if as_json else "", flush=True)
        elif as_json:
            print_line({**found._asdict(), "spans": [span._asdict() for span in found.spans]})
        else:
            rows = zip(found.tokens, found.tags, (f"{p:.4f}" for p in found.probabilities), strict=True)
            print_table(("token", "tag", "probability"), list(rows))


def print_scores(model: "TrainedLanguageModel", texts: Iterable[str], as_json: bool) -> None:
    """How likely each text is; an empty one has no answer."""
    scores = (model.score(text) if text.strip() else None for text in texts)
    if as_json:
        for one in scores:
            print_line(one and one._asdict())
        return
    rows = [
        (s.text, f"{s.log_probability:.2f}", f"{s.perplexity:,.1f}", f"{s.tokens}", " ".join(s.unknown))
        if s
        else ("", "", "", "", "")
        for s in scores
    ]
    print_table(("text", "log-probability", "perplexity", "tokens", "unknown"), rows)


def print_next_words(model: "TrainedLanguageModel", texts: Iterable[str], top: int, as_json: bool) -> None:
    """The most likely next words after each text."""
    for text in texts:
        warn_of_unknown(model, text)
        found = model.predict(text, top)
        if as_json:
            print_line({"text": text, "next": [next_._asdict() for next_ in found]})
        else:
            print_table((f"{text} ...", "probability"), [(visible(token), f"{p:.4f}") for token, p in found])


def visible(token: str) -> str:
    """A token as it is or, where one would not see it whole, in quotes."""
    return token if token.isprintable() and token == token.strip() else repr(token)
