"""What commands answer: texts from the command line, standard input or a file; files one by one or in folders."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from recurra.cli.output import STANDARD_INPUT
from recurra.errors import DataError, RecurraError, UsageError

if TYPE_CHECKING:
    from recurra.progress import Progress
    from recurra.tasks.trained import Input, TrainedModel, Verb

Item = TypeVar("Item")


class Source:
    """The inputs of one command, in order.

    Args:
        model: says whether it reads texts or files.
        verb: of the model, which says what it answers where no input is given.
        words: texts or paths; "-" alone is standard input.
        file: a file of texts, or one more path.
        data_options: keys of `[data]` in which files differ from those of training.
        is_interactive: whether further texts are asked for, until an empty line.
        progress: receives notes.

    Raises:
        DataError: a folder without files that the model reads.
        UsageError: no files, where the model reads files; or options of files where none is read.
    """

    def __init__(
        self,
        model: "TrainedModel[Any]",
        verb: "Verb",
        words: list[str],
        file: str | None,
        data_options: Mapping[str, Any],
        is_interactive: bool,
        progress: "Progress",
    ) -> None:
        self.model, self.file, self.data_options, self.progress = model, file, data_options, progress
        self.is_interactive = is_interactive
        self.words = [*words, file] if file and model.reads_files else words
        self.paths = paths_in(self.words, model.endings) if model.reads_files else []
        is_given = bool(self.words or file or is_interactive)
        self.default = None if is_given else default_inputs(model, verb)
        reads_lines = self.words == [STANDARD_INPUT] or not (is_given or self.default)
        self.is_standard_input = reads_lines and not model.reads_files
        self.refuse_idle()

    def refuse_idle(self) -> None:
        """Refuse what does not fit the kind of inputs that the model reads."""
        if self.data_options and not (self.paths or self.file):
            name = next(iter(self.data_options)).replace("_", "-")
            raise UsageError(f"--{name}: is about files, and none is named; name one with --file, or leave it out")
        if not self.model.reads_files:
            return
        if self.is_interactive:
            raise UsageError(f"--interactive: asks for texts, but {self.model.run} reads files; name them instead")
        if not (self.paths or self.default):
            raise UsageError(f"{self.model.run}: reads files; name some: recurra predict {self.model.run} FILE")

    @property
    def has_names(self) -> bool:
        """Whether each answer is printed behind the name of its file: where there are several files, or a folder."""
        return self.model.reads_files and (len(self.words) > 1 or self.paths != self.words)

    @property
    def is_typed(self) -> bool:
        """Whether somebody types the inputs and waits for each answer."""
        return self.is_interactive or (self.is_standard_input and sys.stdin.isatty())

    @property
    def batch_size(self) -> int:
        """Inputs that are answered at a time: where somebody types, each line at once."""
        if self.is_typed:
            return 1
        return self.model.pipe_batch_size if self.is_standard_input else self.model.batch_size

    def batches(self) -> "Iterator[list[Input]]":
        """The inputs some at a time; where one cannot be read, those before it come first, then its error."""
        yield from batches_until_failure(self.inputs(), self.batch_size)

    def inputs(self) -> "Iterator[Input]":
        """The inputs one by one.

        Raises:
            DataError: a file that cannot be read, or a text that is not UTF-8.
        """
        if self.default is not None:
            yield from self.model.expand(self.default, self.progress)
        elif self.model.reads_files:
            for path in self.paths:
                yield from self.model.read_file(path, self.data_options, self.progress)
        elif self.is_standard_input:
            yield from map(self.as_input, read_lines())
        else:
            yield from self.texts()

    def texts(self) -> "Iterator[Input]":
        """Arguments, then the texts of a file, then what is typed."""
        for number, text in enumerate(self.words, 1):
            if os.path.isfile(text):  # noqa: PTH113 (Path.is_file raises for a long text)
                self.progress.note(f"{text} is read as a text; for the texts in it: --file {text}")
            yield self.as_input(readable(text, f"text {number} of {len(self.words)}"))
        if self.file:
            yield from self.model.read_file(self.file, self.data_options, self.progress)
        if self.is_interactive:
            yield from map(self.as_input, ask())

    def as_input(self, text: str) -> "Input":
        """A text as input; the spaces around it count only for a model to which a blank text is one like any other."""
        from recurra.tasks.trained import Input

        text = text if self.model.answers_blank else text.strip()
        return Input(text, text)


def default_inputs(model: "TrainedModel[Any]", verb: "Verb") -> list[Any] | None:
    """What is answered where no input is given; None for lines of standard input."""
    return model.default_inputs() if verb.default is None else [verb.default]


def batches_until_failure(items: Iterable[Item], batch_size: int) -> Iterator[list[Item]]:
    """Items some at a time; where one cannot be read, those before it come first, then its error."""
    failures: list[RecurraError] = []

    def readable_ones() -> Iterator[Item]:
        try:
            yield from items
        except RecurraError as error:
            failures.append(error)

    left = readable_ones()
    while several := list(islice(left, batch_size)):
        yield several
    for failure in failures:
        raise failure


def paths_in(words: Iterable[str], endings: tuple[str, ...]) -> list[str]:
    """The files that arguments name; a folder stands for the files in it, in the order of their names.

    Args:
        words: files and folders; whatever is no folder is left as it is.
        endings: of the files in a folder, in lower case.

    Raises:
        DataError: a folder without such files.
    """
    found: list[str] = []
    for word in words:
        if not (endings and Path(word).is_dir()):
            found.append(word)
            continue
        inside = sorted(file for file in Path(word).iterdir() if file.is_file() and file.suffix.lower() in endings)
        if not inside:
            raise DataError(f"{word}: a folder without files ending in {', '.join(endings)}; give files, or another")
        found += map(str, inside)
    return found


def ask() -> Iterator[str]:
    """Lines that somebody types, until an empty one or the end of input."""
    while True:
        if sys.stdin.isatty():
            print("input (an empty line ends)> ", end="", file=sys.stderr, flush=True)
        text = sys.stdin.readline().rstrip("\r\n")
        if not text:
            return
        yield readable(text, "standard input")


def read_lines() -> Iterator[str]:
    """Lines of standard input as they come, without their ends.

    Raises:
        DataError: a line is not UTF-8.
    """
    if sys.stdin.isatty():
        print("one input a line, Ctrl-D ends", file=sys.stderr, flush=True)
    for number, line in enumerate(sys.stdin, 1):
        yield readable(line.rstrip("\r\n"), f"standard input line {number}")


def readable(text: str, name: str) -> str:
    """A text, if it is UTF-8.

    Raises:
        DataError: it is not.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{name}: not UTF-8 at character {error.start + 1}; convert it first") from None
    return text
