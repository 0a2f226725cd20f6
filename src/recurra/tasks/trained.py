"""A trained model in use: answers to inputs, and scores on other data."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, TypeVar

from recurra.config import Section
from recurra.data.catalogue import find
from recurra.devices import device_of
from recurra.errors import DataError, UsageError
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.registry import task_of
from recurra.tasks.task import Task, load_data, report, restore

AnyTask = TypeVar("AnyTask", bound=Task)


class Table(NamedTuple):
    """Rows to print."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    style: Literal["table", "rows", "csv"] = "table"  # rows: of one table of all answers; csv: of one CSV file


class Answer(Protocol):
    """What a model predicts for one input."""

    @property
    def text(self) -> str:
        """The prediction as text, without the input."""
        ...

    def as_json(self) -> Json:
        """The input's name or text and the prediction as plain values."""
        ...

    def as_table(self) -> Table | None:
        """The prediction as a table; None where its text says it all."""
        ...


class StreamedText:
    """An answer whose text is produced piece by piece: it can be printed as it comes.

    Args:
        about: key and value that name the input in JSON, such as ("prompt", "The").
        pieces: the text in pieces; read once.
    """

    def __init__(self, about: tuple[str, str], pieces: Iterator[str]) -> None:
        self.about, self._pieces, self._seen = about, pieces, ""

    def pieces(self) -> Iterator[str]:
        """What has not been read yet, as it is produced."""
        for piece in self._pieces:
            self._seen += piece
            yield piece

    @property
    def text(self) -> str:
        """The whole text."""
        return self._seen + "".join(self.pieces())

    def as_json(self) -> Json:
        """The input and the whole text."""
        return {self.about[0]: self.about[1], "text": self.text}

    def as_table(self) -> None:
        """None."""
        return


class Input(NamedTuple):
    """One input of a model."""

    name: str  # for messages and output: the text itself, or file and position; "" where there is none
    value: Any


class NoOptions(Section):
    """Options of a verb that has none."""


class Verb(NamedTuple):
    """One thing that a trained model can do with inputs."""

    options: type[Section]  # its options, as a schema
    answer: Callable[[Any, list[Input], Any, Progress], list[Any]]  # of (model, inputs, options, progress)
    default: Any = None  # input where the command line is given none, such as an empty prompt; see `default_inputs`


class TrainedModel(Generic[AnyTask]):
    """The model of a run, ready to use.

    Args:
        run: the run folder.
        device: torch device to run on.

    Raises:
        RunError: missing, incomplete, damaged, or of another task.
        UsageError: no such device.
    """

    verbs: ClassVar[Mapping[str, Verb]]  # "predict", and whatever else the model can do
    answers_blank: ClassVar[bool] = False  # whether an empty text is an input like any other
    batch_size: ClassVar[int] = 256  # inputs that the command line answers at a time
    pipe_batch_size: ClassVar[int] = 1  # the same where texts come through standard input
    plots: ClassVar[Literal["never", "asked", "always"]] = "never"  # whether `figures` draws answers

    def __init__(self, run: Run, device: str = "cpu") -> None:
        self.run = run
        task: Any = restore(task_of(run).task, run)
        self.task: AnyTask = task
        self.trained_steps: int = run.load_weights(task.model)["step"]  # number of updates behind these weights
        task.model.to(device_of(device)).eval()

    @property
    def reads_files(self) -> bool:
        """Whether a str among the inputs is the path of a file, and not a text."""
        return False

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of the files that a folder among the inputs stands for; empty where folders are no inputs."""
        return ()

    def default_inputs(self) -> list[Any] | None:
        """Inputs where neither the command line nor the verb gives any; None for lines of standard input."""
        return None

    def read_file(self, path: str, options: Mapping[str, Any], progress: Progress) -> Iterator[Input]:
        """The inputs in a file.

        Args:
            path: of the file.
            options: keys of `[data]` in which the file differs from those of training, such as a column name.
            progress: receives notes.

        Raises:
            DataError: it cannot be used.
        """
        raise NotImplementedError

    def predict(self, inputs: Sequence[Any], *, progress: Progress | None = None, **options: Any) -> list[Any]:
        """Answer inputs.

        Args:
            inputs: values (texts, arrays, tables, images, samples: what the task reads), or paths of files with such.
            progress: receives notes and the state of the work.
            options: fields of `type(self).verbs["predict"].options`.

        Returns:
            An `Answer` for each input, in order.

        Raises:
            UsageError: an unknown option or an impossible value, or one input instead of a list.
            ShapeError: an array of another shape than the model reads.
            DataError: an input that cannot be used.
        """
        return self.run_verb("predict", inputs, options, progress)

    def run_verb(
        self, name: str, inputs: Sequence[Any], options: Mapping[str, Any], progress: Progress | None
    ) -> list[Any]:
        """Answer inputs by one of `verbs`; arguments, result and errors as of `predict`."""
        if isinstance(inputs, str | Path):
            kind = "text" if isinstance(inputs, str) else "path"
            raise UsageError(f"{name}: expected a list, got one {kind}; write {name}([{str(inputs)[:20]!r}])")
        verb, progress = self.verbs[name], progress or Progress()
        chosen = verb.options.parse(options, name)
        return verb.answer(self, self.expand(inputs, progress), chosen, progress)

    def expand(self, inputs: Sequence[Any], progress: Progress) -> list[Input]:
        """Values with their names: paths are read, an `Input` stays as it is."""
        found: list[Input] = []
        for item in inputs:
            if isinstance(item, Path) or (isinstance(item, str) and self.reads_files):
                found += self.read_file(str(item), {}, progress)
            else:
                is_text = isinstance(item, str)
                found.append(item if isinstance(item, Input) else Input(item if is_text else "", item))
        return found

    def figures(self, answers: Sequence[Any]) -> Sequence[Any]:
        """Charts of answers, where `plots` is not "never"."""
        raise NotImplementedError

    def summary(self, answers: Sequence[Any]) -> list[str]:  # noqa: ARG002
        """Sentences about all answers together, such as an error over all of them."""
        return []

    def evaluate(self, data: Any = None, progress: Progress | None = None, **options: Any) -> Json:
        """Scores of the model and its baselines.

        Args:
            data: other data of the kind the model was trained on, whose validation and test parts count where it is
                split; by default what was held out of the run.
            progress: receives notes and the state of the work.
            options: keys of the recipe's `[data]` that say how files are read, such as `label_column="stars"`, where
                they differ from those that were trained on.

        Returns:
            Scores by model ("model" and the baselines) and by split; "all" for data without splits. The baselines are
            missing where the training data is no longer there.

        Raises:
            DataError: the data cannot be used, or that of the run has changed.
            UsageError: a key that is fixed by training, an impossible value, or the run's own data read in another way
                where its files do not say which part was held out.
        """
        progress = progress or Progress()
        is_own = is_own_data(data, self.task)
        if is_own and not options:
            load_data(self.task, self.run, progress)
            return report(self.task, progress).metrics
        path = self.task.recipe.data.path if data is None else data
        splits = self.task.read_held_out(path, options, progress)
        if list(splits) == ["all"]:
            if is_own:
                raise UsageError(
                    f"{path}: the model was trained on a part of it, and its files do not say which; name other data, "
                    f"or leave {', '.join(options)} out"
                )
            progress.note(f"{path}: has no splits, so all of it is evaluated; none of it should have been trained on")
        metrics, _ = self.task.evaluate(splits, progress)
        try:
            load_data(self.task, self.run, progress)
        except DataError as error:
            progress.note(f"no baselines, since they need the training data: {error}")
            return {"model": metrics}
        return {"model": metrics, **self.task.baselines(splits, progress)}


def load(run: str | Path, device: str = "cpu") -> Any:
    """The trained model of a run folder.

    Args:
        run: the folder that `train` wrote.
        device: torch device to run on.

    Returns:
        A `TrainedModel` of the run's task: `predict` answers inputs, `evaluate` scores other data.

    Raises:
        RunError: missing, incomplete, damaged, of another format, or of a task this version does not know.
        UsageError: no such device.
    """
    opened = Run(run)
    return task_of(opened).trained(opened, device)


def is_own_data(data: Any, task: Task) -> bool:
    """Whether data is that of the run itself; only what was held out of it may be evaluated."""
    if data is None or not isinstance(data, str | Path):
        return data is None
    return len({find(name) or Path(name) for name in (str(data), task.recipe.data.path)}) == 1
