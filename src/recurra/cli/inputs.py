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
    from recurra.tasks.trained import Input, TrainedModel

Item = TypeVar("Item")


class Source:
    """The inputs of one command, in order.

    Args:
        model: says whether it reads texts or files.
        words: arguments of the command: texts or paths; "-" is standard input.
        file: a file of texts, or one more path.
        data_options: keys of `[data]` in which files differ from those of training.
        progress: receives notes.
    """

    def __init__(
        self,
        model: "TrainedModel[Any]",
        words: list[str],
        file: str | None,
        data_options: Mapping[str, Any],
        progress: "Progress",
    ) -> None:
        self.model, self.file, self.data_options, self.progress = model, file, data_options, progress
        self.words = [*words, file] if file and model.reads_files else words
        self.paths = paths_in(self.words, model.endings) if model.reads_files else []
        is_given = bool(self.words or file)
        self.default = None if is_given else model.default_inputs()
        reads_lines = self.words == [STANDARD_INPUT] or not (is_given or self.default)
        self.is_standard_input = reads_lines and not model.reads_files

    @property
    def has_names(self) -> bool:
        """Whether each answer is printed behind the name of its file: where there are several files, or a folder."""
        return len(self.words) > 1 or self.paths != self.words

    @property
    def batch_size(self) -> int:
        """Inputs that are answered at a time: where somebody types, each line at once."""
        if not self.is_standard_input:
            return self.model.batch_size
        return 1 if sys.stdin.isatty() else self.model.pipe_batch_size

    def batches(self) -> "Iterator[list[Input]]":
        """The inputs some at a time; where one cannot be read, those before it come first, then its error."""
        failures: list[RecurraError] = []

        def readable_ones() -> "Iterator[Input]":
            try:
                yield from self.inputs()
            except RecurraError as error:
                failures.append(error)

        left = readable_ones()
        while several := list(islice(left, self.batch_size)):
            yield several
        for failure in failures:
            raise failure

    def inputs(self) -> "Iterator[Input]":
        """The inputs one by one.

        Raises:
            DataError: a file that cannot be read, or a text that is not UTF-8.
            UsageError: no files, where the model reads files.
        """
        if self.default is not None:
            yield from self.model.expand(self.default, self.progress)
        elif self.model.reads_files:
            if not self.paths:
                raise UsageError(f"{self.model.run}: reads files; name some: recurra predict {self.model.run} FILE")
            for path in self.paths:
                yield from self.model.read_file(path, self.data_options, self.progress)
        else:
            yield from self.texts()

    def texts(self) -> "Iterator[Input]":
        """Arguments and the texts of a file, else lines of standard input as they come."""
        from recurra.tasks.trained import Input

        if self.is_standard_input:
            yield from (Input(line, line) for line in read_lines())
            return
        for number, text in enumerate(self.words, 1):
            if os.path.isfile(text):  # noqa: PTH113 (Path.is_file raises for a long text)
                self.progress.note(f"{text} is read as a text; for the texts in it: --file {text}")
            yield Input(text, readable(text, f"text {number} of {len(self.words)}"))
        if self.file:
            yield from self.model.read_file(self.file, self.data_options, self.progress)


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


def read_lines() -> Iterator[str]:
    """Lines of standard input, without spaces around them.

    Raises:
        DataError: a line is not UTF-8.
    """
    if sys.stdin.isatty():
        print("one input a line, Ctrl-D ends", file=sys.stderr, flush=True)
    for number, line in enumerate(sys.stdin, 1):
        yield readable(line.strip(), f"standard input line {number}")


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
