"""`recurra predict`, and the same under the names that people expect: generate, forecast, translate, ..."""

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from recurra.cli.answers import Printer
from recurra.cli.inputs import Source
from recurra.cli.interrupts import dying_at_once
from recurra.cli.output import Device, NotesOnly, open_model, print_table, progress
from recurra.cli.recipe_options import option_rows, read_words
from recurra.errors import UsageError

if TYPE_CHECKING:
    from recurra.progress import Progress
    from recurra.tasks import TaskEntry
    from recurra.tasks.trained import Input, TrainedModel, Verb

PREDICT_HELP = """Answer inputs with a trained model: labels, tags, next words, translations, forecasts, ...

Inputs are texts or files, as the model reads; without any, lines of standard input. Options depend on the task:
recurra predict RUN --help lists those of a run.

Examples: recurra predict runs/reviews "not worth the money" "a joy";
recurra predict runs/reviews --file new.csv --json;
recurra predict runs/digits pictures/ > captions.tsv
"""


LITERAL = "recurra.literal"  # in the context of a command: its arguments behind a bare --


class AnswerCommand(TyperCommand):
    """A command whose arguments behind a bare `--` are inputs, whatever they begin with."""

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        """Put the arguments behind `--` aside and parse the others."""
        if "--" in arguments:
            place = arguments.index("--")
            context.meta[LITERAL] = arguments[place + 1 :]
            arguments = arguments[:place]
        return super().parse_args(context, arguments)


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
            typer.Argument(
                metavar="[INPUT]... [--KEY VALUE]...",
                help="Texts or files; -: standard input; after --, texts that begin with a dash.",
            ),
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
        if help_:
            show_help(context, verb, run)
            return
        if run is None or run.startswith("-"):
            raise UsageError(f"expected the folder of a run first: recurra {verb} RUN {run or '[INPUT]'} ...")
        if interactive and as_json:
            raise UsageError("--interactive is for people, --json for programs; leave one of them out")
        model = open_for(verb, run, device)
        name = verb if verb in model.verbs else "predict"
        plain, options, data_options = split_words(model, name, words or [])
        plain += context.meta.get(LITERAL, [])
        listener = progress(quiet=False)
        source = Source(model, model.verbs[name], plain, file, data_options, interactive, listener)
        chosen = model.verbs[name].options.parse(options, name)
        answer(model, model.verbs[name], source, chosen, Output(verb, out, plot, as_json))

    command.__doc__ = about
    return command


class Output:
    """Where and how answers are shown.

    Args:
        verb: as typed, which names the page of charts.
        out: file to write; None for standard output.
        plot: whether to draw; None for what is usual for the task.
        as_json: a line of JSON for each answer.
    """

    def __init__(self, verb: str, out: str | None, plot: bool | None, as_json: bool) -> None:
        self.verb, self.out, self.plot, self.as_json = verb, out, plot, as_json

    def draws(self, model: "TrainedModel[Any]") -> bool:
        """Whether answers of a model are drawn.

        Raises:
            UsageError: drawing is asked for, and the task has nothing to draw.
        """
        if self.plot and model.plots == "never":
            raise UsageError(f"--plot: answers of {model.task.name} are not drawn; leave it out")
        wanted = model.plots == "always" if self.plot is None else self.plot
        if wanted:
            model.figures([])  # refuses before the answers where this model, such as one without attention, has none
        return wanted


def open_for(verb: str, run: str, device: str) -> "TrainedModel[Any]":
    """The model of a run.

    Raises:
        UsageError: its task does not have this verb.
    """
    entry = entry_of(run)
    if verb not in ("predict", entry.verb):
        raise UsageError(f"{run}: its task is {entry.name}; see recurra {entry.task.usage.format(run=run)}")
    return open_model(run, device)


def entry_of(run: str) -> "TaskEntry":
    """The task of a run folder."""
    with dying_at_once():
        from recurra.runs import Run
        from recurra.tasks import task_of

    return task_of(Run(run))


def answer(model: "TrainedModel[Any]", verb: "Verb", source: Source, options: Any, output: Output) -> None:
    """Answer inputs and print the answers; then what the model says about all of them.

    Args:
        model: answers.
        verb: what it does with the inputs.
        source: the inputs.
        options: of the verb, the same for all inputs: a generator of random numbers goes on from batch to batch.
        output: where and how.
    """
    draws = output.draws(model)
    is_kept = draws or has_summary(model)  # else endless input would fill the memory
    listener = NotesOnly() if source.batch_size == 1 else source.progress  # no bar that flashes at each line
    answers = []
    with Printer(
        as_json=output.as_json, out=output.out, has_names=source.has_names, is_typed=source.is_typed
    ) as printer:
        for batch in source.batches():
            for input_name, found in answered(model, verb, batch, options, listener):
                if found is None:
                    printer.blank()
                    continue
                printer.show(input_name, found)
                if is_kept:
                    answers.append(found)
    if output.out:
        print(f"answers {output.out}", file=sys.stderr)
    if answers:
        for line in model.summary(answers):
            print(line, file=sys.stderr)
    if answers and draws:
        print(f"chart {draw(output.verb, model, answers)}", file=sys.stderr)


def answered(
    model: "TrainedModel[Any]", verb: "Verb", batch: "list[Input]", options: Any, listener: "Progress"
) -> "Iterator[tuple[str, Any]]":
    """The answers to some inputs, each with the name of its input; None to blank texts, unless they are inputs too."""
    full = [one for one in batch if model.answers_blank or not is_blank(one.value)]
    found = verb.answer(model, full, options, listener) if full else []
    if len(found) != len(full):  # such as several forecasts for a series; they name it themselves
        yield from (("", one) for one in found)
        return
    left = iter(found)
    for one in batch:
        yield one.name, next(left) if model.answers_blank or not is_blank(one.value) else None


def has_summary(model: "TrainedModel[Any]") -> bool:
    """Whether the model has something to say about all answers together."""
    from recurra.tasks.trained import TrainedModel

    return type(model).summary is not TrainedModel.summary


def is_blank(value: Any) -> bool:
    """Whether an input is a text without content, or an empty list of tokens."""
    return (isinstance(value, str) and not value.strip()) or (isinstance(value, list) and not value)


def split_words(
    model: "TrainedModel[Any]", name: str, words: list[str]
) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """Inputs, options of a verb, and keys of `[data]` in which files of inputs differ from those of training.

    Raises:
        UsageError: an unknown option, one without its value, or a key that is fixed by training.
    """
    from pydantic import create_model

    verb_options, data_type = model.verbs[name].options, type(model.task.recipe.data)
    fields = {
        name: (field.annotation, field)
        for name, field in {**data_type.model_fields, **verb_options.model_fields}.items()
    }
    schema: Any = create_model("Options", **fields)  # type: ignore[call-overload]
    plain, found = read_words(schema, words, f"recurra {name} {model.run}")
    options = {key: value for key, value in found.items() if key in verb_options.model_fields}
    data_options = {key: value for key, value in found.items() if key not in options}
    other_data_keys = getattr(model.task, "other_data_keys", ())
    for key in data_options:
        if key not in other_data_keys:
            may_differ = f"; files may differ in {', '.join(other_data_keys)}" if other_data_keys else ""
            raise UsageError(f"--{key.replace('_', '-')}: is fixed by the training{may_differ}")
    data_type.parse({**dict(model.task.recipe.data), **data_options}, name)  # refuses impossible values
    return plain, options, data_options


def draw(verb: str, model: "TrainedModel[Any]", answers: list[Any]) -> Any:
    """Write charts of answers to a page in the run folder."""
    from recurra.figures.pages import write_charts

    title = f"{model.run.folder.name}: {verb}"
    return write_charts(model.run.path(f"{verb}.html"), title, model.figures(answers))


def show_help(context: typer.Context, verb: str, run: str | None) -> None:
    """The options of the command, then those of the run's task."""
    print(context.get_help())
    if run is None:
        return
    entry = entry_of(run)
    verbs, columns = entry.trained.verbs, ("option", "default", "meaning")
    rows = option_rows(verbs.get(verb, verbs["predict"]).options)
    if rows:
        print_table(columns, rows, f"\nOptions of {verb} for {entry.name}:")
    keys = {f"--{key.replace('_', '-')}" for key in getattr(entry.task, "other_data_keys", ())}
    data_rows = [row for row in option_rows(entry.task.recipe_type) if row[0] in keys]
    if data_rows:
        print_table(columns, data_rows, "Where files of inputs are read otherwise than in training:")
