"""Labelled examples, texts or series, and how they become what a model reads."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from recurra.config import Section, Shares
from recurra.data.catalogue import image_layout, locate
from recurra.data.normalizer import Normalizer
from recurra.data.series.labelled import SeriesOptions, find_series, held_out_series, read_series, refuse_unknown_labels
from recurra.data.series.tables import DEFAULT_ID_COLUMN
from recurra.data.splits import data_files, held_out_splits
from recurra.data.tables import columns_of, is_table
from recurra.data.text.labelled import LabelledText, TextColumns, read_labelled_texts, read_texts, split_texts
from recurra.data.text.vocabulary import Vocabulary, VocabularyOptions
from recurra.errors import DataError, ShapeError, UsageError, counted, listed, shortened
from recurra.lengths import common_length
from recurra.models.classifier import ClassifierShape
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.task import ReadFile

TOKENIZER, NORMALIZER = "tokenizer.json", "normalizer.json"
TEXT_KEYS = frozenset(VocabularyOptions.model_fields) | {
    "text_column",
    "embedding_size",
    "embedding_std",
    "embedding_dropout",
    "word_dropout",
    "naive_bayes",
}
SERIES_KEYS = frozenset(SeriesOptions.model_fields) - {"labels", "label_column", "shares", "on_bad"} | {
    "noise",
    "drift",
    "warp",
}

Encoded = NDArray[Any]  # ids (time,), or measurements (time, channels)


class Example(Protocol):
    """A text or a series with its label, and its place for messages."""

    @property
    def content(self) -> Any:
        """The text, or the measurements (time, channels)."""
        ...

    @property
    def label(self) -> str:
        """Its name."""
        ...

    @property
    def place(self) -> str:
        """File and line, or file and series."""
        ...

    @property
    def channels(self) -> Sequence[str]:
        """Names of what was measured; none of a text."""
        ...

    @property
    def before(self) -> str | None:
        """The label that held last, where `label` is what comes."""
        ...


class ExampleOptions(SeriesOptions, VocabularyOptions):
    """The `[data]` section: which examples, texts or series, and how they are read."""

    path: str = Field(description="a table, a file a class, a folder or the name of a data set; see docs/formats.md")
    kind: Literal["auto", "text", "series"] = Field(
        "auto", description="what the examples are; auto: .ts, .npz and tables without `text_column` hold series"
    )
    text_column: str = Field("text", description="column of a table with the texts")
    end_of_line: bool = Field(False, description="whether the end of a line is a token where the unit is a word")
    shares: Shares = Field(
        (0.8, 0.1, 0.1), description="training, validation and test share where the files do not say; by a hash"
    )
    on_bad: Literal["fail", "drop"] = Field(
        "fail", description="at a text without label, or a value that is no number: stop, or leave it out"
    )
    unknown_labels: Literal["fail", "wrong"] = Field(
        "fail", description="a label in held-out examples that training lacks: an error, or counted as wrong"
    )


class Inputs(Protocol):
    """What lies between an example and the model."""

    shape: ClassifierShape
    options: ExampleOptions

    def encode(self, content: Any) -> Encoded:
        """What the model reads of an example."""
        ...

    def files(self) -> Mapping[str, str]:
        """Files of the run that it is restored from."""
        ...

    def features(self) -> Any:
        """What plain models read of examples instead."""
        ...

    def read(self, path: str, labels: Collection[str], options: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
        """Contents of a file, each with its name, without their labels where they have some of these.

        Args:
            path: of the file.
            labels: those of training.
            options: keys of `[data]` in which the file differs from those of training.
        """
        ...

    def show(self, content: Any) -> str:
        """An example in a line."""
        ...

    def dump(self, content: Any) -> Json:
        """An example as JSON."""
        ...

    def load(self, values: Json) -> Any:
        """The example that `dump` wrote."""
        ...


class TextInputs:
    """Texts as token ids.

    Args:
        vocabulary: types of the training texts.
        shape: what the model reads.
        options: how files are read.
    """

    def __init__(self, vocabulary: Vocabulary, shape: ClassifierShape, options: ExampleOptions) -> None:
        self.vocabulary, self.shape, self.options = vocabulary, shape, options

    @classmethod
    def fit(cls, texts: Sequence[str], options: ExampleOptions) -> "TextInputs":
        """What training texts ask for."""
        vocabulary = Vocabulary.of(texts, options)
        lengths = [len(vocabulary.encode(text)) for text in texts]
        return cls(vocabulary, ClassifierShape(len(vocabulary), 1, max(lengths), common_length(lengths)), options)

    def encode(self, content: str) -> Encoded:
        """Token ids, (time,)."""
        return np.array(self.vocabulary.encode(content), np.int64)

    def files(self) -> Mapping[str, str]:
        """The tokenizer."""
        return {TOKENIZER: self.vocabulary.dump()}

    def features(self) -> Any:
        """Counts of words or characters."""
        from recurra.baselines.labels import text_features  # loads scikit-learn

        return text_features(self.vocabulary.unit)

    def read(self, path: str, labels: Collection[str], options: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The texts of a table, or the lines of a file."""
        column = options.get("text_column", self.options.text_column)
        return [(text, text) for text in read_texts(path, column, labels)]

    def show(self, content: str) -> str:
        """The text."""
        return content

    def dump(self, content: str) -> Json:
        """The text under a key."""
        return {"text": content}

    def load(self, values: Json) -> str:
        """The text."""
        text: str = values["text"]
        return text


class SeriesInputs:
    """Series as measurements of mean 0 and deviation 1.

    Args:
        normalizer: of the training series.
        shape: what the model reads.
        options: how files are read; their channels are those that the model was trained on.
    """

    def __init__(self, normalizer: Normalizer, shape: ClassifierShape, options: ExampleOptions) -> None:
        self.normalizer, self.shape, self.options = normalizer, shape, options

    @classmethod
    def fit(cls, series: Sequence[NDArray[np.float32]], options: ExampleOptions) -> "SeriesInputs":
        """What training series ask for."""
        lengths = [len(values) for values in series]
        shape = ClassifierShape(None, series[0].shape[1], max(lengths), common_length(lengths))
        return cls(Normalizer.of(series), shape, options)

    def encode(self, content: NDArray[np.float32]) -> Encoded:
        """Normalized measurements, (time, channels).

        Raises:
            ShapeError: another number of axes or channels.
            DataError: a value that is not finite.
        """
        try:
            values = np.asarray(content, np.float32)
        except (TypeError, ValueError):
            raise ShapeError(f"series: expected measurements (time, channels), got {str(content)[:40]!r}") from None
        if values.ndim != 2:
            raise ShapeError(f"series: expected measurements (time, channels), got an array {values.shape}")
        if not np.isfinite(values).all():
            step, channel = np.argwhere(~np.isfinite(values))[0].tolist()
            name = (self.options.channels or [])[channel]
            raise DataError(
                f"series: {name} has no finite value at step {step + 1}; leave such steps out, or fill them"
            )
        return self.normalizer.apply(values)

    def files(self) -> Mapping[str, str]:
        """The normalizer."""
        return {NORMALIZER: self.normalizer.dump()}

    def features(self) -> Any:
        """Statistics of each channel."""
        from recurra.baselines.labels import series_features  # loads scikit-learn

        return series_features()

    def read(
        self,
        path: str,
        labels: Collection[str],  # noqa: ARG002
        options: Mapping[str, Any],
    ) -> list[tuple[str, NDArray[np.float32]]]:
        """The series of a file; their labels are ignored."""
        chosen = self.options.model_copy(update=dict(options))
        return [(one.name, one.values) for one in read_series(locate(path), chosen, labelled=False)]

    def show(self, content: NDArray[np.float32]) -> str:
        """Its size."""
        return f"{len(content)} steps of {content.shape[1]} channels"

    def dump(self, content: NDArray[np.float32]) -> Json:
        """The values under a key."""
        return {"values": content.tolist()}

    def load(self, values: Json) -> NDArray[np.float32]:
        """The values."""
        return np.array(values["values"], np.float32)


def is_series(options: ExampleOptions) -> bool:
    """Whether the examples are series; as the options say, or as the files look.

    Raises:
        DataError: a table that holds neither texts nor series.
    """
    if options.kind != "auto":
        return options.kind == "series"
    place = locate(options.path)
    if image_layout(place):
        return True
    files = data_files(place)
    if any(file.suffix.lower() in (".ts", ".npz") for file in files):
        return True
    if not is_table(files[0]):
        return False
    names = columns_of(files[0])
    id_column = options.id_column or DEFAULT_ID_COLUMN
    if not {options.text_column, id_column} & set(names) and options.window is None:
        raise DataError(
            f"{files[0]}: no column {options.text_column!r} with texts, none {id_column!r} that names series; it has "
            f"{listed(names)}. Name the right one with --text-column or --id-column"
        )
    return options.text_column not in names


def refuse_other_keys(options: ExampleOptions, model: Section) -> None:
    """Refuse a key that says nothing where the examples are texts, or where they are series.

    Raises:
        DataError: as `is_series`.
        UsageError: one differs from its default.
    """
    others, here, there = (TEXT_KEYS, "series", "texts") if is_series(options) else (SERIES_KEYS, "texts", "series")
    for section in (options, model):
        for key, field in type(section).model_fields.items():
            if key in others and getattr(section, key) != field.default:
                raise UsageError(f"{key}: is about {there}, and {options.path} holds {here}; leave it out")


def find_examples(options: ExampleOptions, progress: Progress) -> dict[str, list[Any]]:
    """Examples by split.

    Raises:
        DataError: they cannot be used; the message names the place.
    """
    if is_series(options):
        return dict(find_series(options.path, options, progress))
    found = whole_texts(options, progress)
    refuse_unknown_labels(options.path, {one.label for part in found.values() for one in part}, options.labels or [])
    return dict(split_texts(of_labels(found, options.labels), options.path, options.shares))


def find_other_examples(options: ExampleOptions, progress: Progress) -> dict[str, list[Any]]:
    """Examples to evaluate on: all splits except the training split, or "all" where there are no splits.

    Raises:
        DataError: they cannot be used; the message names the place.
    """
    found: dict[str, list[Any]]
    if not is_series(options):
        found = dict(of_labels(whole_texts(options, progress), options.labels))
    else:
        found = dict(held_out_series(options.path, options, progress))
    found = {split: examples for split, examples in (held_out_splits(found) or found).items() if examples}
    if not found:
        which = f" labelled {' or '.join(options.labels)}" if options.labels else ""
        raise DataError(f"{options.path}: no examples{which} to evaluate on; give others")
    return found


def whole_texts(options: ExampleOptions, progress: Progress) -> dict[str, list[LabelledText]]:
    """Texts by split; without those that lack text or label, if the options allow it."""
    found = read_labelled_texts(options.path, TextColumns(options.text_column, options.label_column))
    broken = [one.place for examples in found.values() for one in examples if not one.is_whole]
    if not broken:
        return found
    if options.on_bad == "fail":
        raise DataError(
            f"{broken[0]}: no text or no label ({counted(len(broken), 'such example')}); correct them, or leave them "
            "out with --on-bad drop"
        )
    progress.note(f"left out {counted(len(broken), 'example')} without text or label, the first: {broken[0]}")
    return {split: [one for one in examples if one.is_whole] for split, examples in found.items()}


def of_labels(found: dict[str, list[LabelledText]], labels: list[str] | None) -> dict[str, list[LabelledText]]:
    """The examples whose label is to be kept."""
    if labels is None:
        return found
    return {split: [one for one in examples if one.label in labels] for split, examples in found.items()}


def fit_inputs(options: ExampleOptions, train: Sequence[Example]) -> Inputs:
    """What training examples ask for."""
    contents = [example.content for example in train]
    if isinstance(contents[0], str):
        return TextInputs.fit(contents, options)
    return SeriesInputs.fit(contents, options.model_copy(update={"channels": list(train[0].channels)}))


def load_inputs(values: Json, read: ReadFile, options: ExampleOptions) -> Inputs:
    """Undo the `values` and `files` of inputs."""
    shape = ClassifierShape(**values["shape"])
    if shape.vocabulary_size is None:
        options = options.model_copy(update={"channels": values["channels"]})
        return SeriesInputs(Normalizer.parse(read(NORMALIZER)), shape, options)
    return TextInputs(Vocabulary.parse(read(TOKENIZER), options.unit), shape, options)


class ClassificationPreprocessor(NamedTuple):
    """What a classifier learns from its training examples before training.

    Args:
        inputs: turns examples into arrays.
        labels: the classes, sorted.
    """

    inputs: Inputs
    labels: list[str]

    @classmethod
    def fit(cls, train: Sequence[Example], options: ExampleOptions) -> "ClassificationPreprocessor":
        """Labels, and the vocabulary of texts or the normalizer of series.

        Raises:
            DataError: all examples have the same label.
        """
        labels = sorted({example.label for example in train})
        if len(labels) < 2:
            raise DataError(
                f"{options.path}: all training examples have the label {shortened(labels[0])!r}; expected at least two "
                "labels"
            )
        return cls(fit_inputs(options, train), labels)

    def values(self) -> Json:
        """Shape of the inputs, channels of series, labels."""
        channels = self.inputs.options.channels or []
        return {"shape": self.inputs.shape._asdict(), "labels": self.labels, "channels": channels}

    def files(self) -> Mapping[str, str]:
        """The tokenizer of texts, or the normalizer of series."""
        return self.inputs.files()

    @classmethod
    def load(cls, values: Json, read: ReadFile, recipe: Any) -> "ClassificationPreprocessor":
        """Undo `values` and `files`."""
        return cls(load_inputs(values, read, recipe.data), values["labels"])
