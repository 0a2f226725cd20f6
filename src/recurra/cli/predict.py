"""`recurra predict`, and the same under the names that people expect: generate, forecast, translate, ..."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.answers import Printer
from recurra.cli.inputs import Source
from recurra.cli.interrupts import dying_at_once
from recurra.cli.output import STANDARD_INPUT, Device, open_model, print_table, progress
from recurra.cli.recipe_options import option_rows, read_words
from recurra.errors import UsageError

if TYPE_CHECKING:
    from recurra.tasks import TaskEntry
    from recurra.tasks.trained import TrainedModel

PREDICT_HELP = """Answer inputs with a trained model: labels, tags, next words, translations, forecasts, ...

Inputs are texts or files, as the model reads; without any, lines of standard input. Options depend on the task:
recurra predict RUN --help lists those of a run.

Examples: recurra predict runs/reviews "not worth the money" "a joy";
recurra predict runs/reviews --file new.csv --json;
recurra predict runs/digits pictures/ > captions.tsv
"""


def command_for(verb: str, about: str) -> Callable[..., None]:
    """The command that uses a trained model by one of its verbs.

    Args:
        verb: name of the command.
        about: its help text.
    """

    def command(
        context: typer.Context,
        run: Annotated[
            str | None, typer.Argument(metavar="RUN", help="Folder that `recurra train` made.", show_default=False)
        ] = None,
        words: Annotated[
            list[str] | None,
            typer.Argument(metavar="[INPUT]... [--KEY VALUE]...", help="Texts or files; -: standard input."),
        ] = None,
        file: Annotated[
            str | None, typer.Option("--file", "-f", help="Read inputs from this file: a table, or lines.")
        ] = None,
        out: Annotated[str | None, typer.Option(help="Write the answers to this file; tables as CSV.")] = None,
        plot: Annotated[
            bool | None, typer.Option(help="Draw the answers on a page in the run folder, where the task can.")
        ] = None,
        interactive: Annotated[bool, typer.Option("--interactive", "-i", help="Ask for inputs, one a line.")] = False,
        device: Device = "cpu",
        as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each answer.")] = False,
        help_: Annotated[bool, typer.Option("--help", "-h", help="Show this, and the options of the run.")] = False,
    ) -> None:
        if help_ or run is None:
            show_help(context, verb, run)
            return
        if interactive and as_json:
            raise UsageError("--interactive is for people, --json for programs; leave one of them out")
        words = [*(words or []), *([STANDARD_INPUT] if interactive else [])]
        answer(verb, open_for(verb, run, device), words, file, Output(out, plot, as_json))

    command.__doc__ = about
    return command


class Output:
    """Where and how answers are shown.

    Args:
        out: file to write; None for standard output.
        plot: whether to draw; None for what is usual for the task.
        as_json: a line of JSON for each answer.
    """

    def __init__(self, out: str | None, plot: bool | None, as_json: bool) -> None:
        self.out, self.plot, self.as_json = out, plot, as_json

    def draws(self, model: "TrainedModel[Any]") -> bool:
        """Whether answers of a model are drawn.

        Raises:
            UsageError: drawing is asked for, and the task has nothing to draw.
        """
        if self.plot and model.plots == "never":
            raise UsageError(f"--plot: answers of {model.task.name} are not drawn; leave it out")
        return model.plots == "always" if self.plot is None else self.plot


def open_for(verb: str, run: str, device: str) -> "TrainedModel[Any]":
    """The model of a run.

    Raises:
        UsageError: its task does not have this verb.
    """
    model = open_model(run, device)
    entry = entry_of(run)
    if verb not in ("predict", entry.verb):
        raise UsageError(f"{run}: its task is {entry.name}; see recurra {model.task.usage.format(run=run)}")
    return model


def entry_of(run: str) -> "TaskEntry":
    """The task of a run folder."""
    with dying_at_once():
        from recurra.runs import Run
        from recurra.tasks import task_of

    return task_of(Run(run))


def answer(verb: str, model: "TrainedModel[Any]", words: list[str], file: str | None, output: Output) -> None:
    """Answer the inputs that a command line names, and print the answers.

    Args:
        verb: as typed.
        model: answers.
        words: inputs and options.
        file: of further inputs.
        output: where and how.
    """
    name = verb if verb in model.verbs else "predict"
    plain, options, data_options = split_words(model, name, words)
    listener, draws = progress(quiet=False), output.draws(model)
    source = Source(model, plain, file, data_options, listener)
    printer = Printer(
        as_json=output.as_json,
        out=output.out,
        has_names=model.reads_files and source.has_names,
        is_typed=source.batch_size == 1,
    )
    answers = []
    try:
        for batch in source.batches():
            full = [one for one in batch if model.answers_blank or not is_blank(one.value)]
            found = iter(model.run_verb(name, full, options, listener))
            for one in batch:
                if is_blank(one.value) and not model.answers_blank:
                    printer.blank()
                    continue
                answers.append(next(found))
                printer.show(one.name, answers[-1])
    finally:
        printer.close()
    for line in model.summary(answers):
        print(line, file=sys.stderr)
    if draws:
        print(f"chart {draw(verb, model, answers)}", file=sys.stderr)


def is_blank(value: Any) -> bool:
    """Whether an input is a text without content, or an empty list of tokens."""
    return (isinstance(value, str) and not value.strip()) or (isinstance(value, list) and not value)


def split_words(
    model: "TrainedModel[Any]", verb: str, words: list[str]
) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """Inputs, options of the verb, and keys of `[data]` in which files of inputs differ from those of training.

    Raises:
        UsageError: an unknown option, or one without its value.
    """
    from pydantic import create_model

    verb_options, data_type = model.verbs[verb].options, type(model.task.recipe.data)
    fields = {
        name: (field.annotation, field)
        for name, field in {**data_type.model_fields, **verb_options.model_fields}.items()
    }
    plain, found = read_words(create_model("Options", **fields), words, f"recurra {verb} {model.run}")  # type: ignore[call-overload]
    options = {key: value for key, value in found.items() if key in verb_options.model_fields}
    return plain, options, {key: value for key, value in found.items() if key not in options}


def draw(verb: str, model: "TrainedModel[Any]", answers: list[Any]) -> Any:
    """Write charts of answers to a page in the run folder."""
    from recurra.figures.pages import MAX_CHARTS, write_page

    figures = model.figures(answers)
    title = f"{model.run.folder.name}: {verb}"
    if len(figures) > MAX_CHARTS:
        title += f" (the first {MAX_CHARTS} of {len(figures)})"
    return write_page(model.run.path(f"{verb}.html"), title, figures[:MAX_CHARTS])


def show_help(context: typer.Context, verb: str, run: str | None) -> None:
    """The options of the command, then those of the run's task."""
    print(context.get_help())
    if run is None:
        return
    entry = entry_of(run)
    verbs = entry.trained.verbs
    rows = option_rows(verbs.get(verb, verbs["predict"]).options)
    if rows:
        print_table(("option", "default", "meaning"), rows, f"\nOptions of {verb} for {entry.name}:")
