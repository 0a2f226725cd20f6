"""A trained tagger in use."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from recurra.data.text.tagged import read_tokens, split_at_spaces
from recurra.metrics.spans import Span, spans_of
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.tagging.data import SentenceOptions
from recurra.tasks.tagging.task import Tagging
from recurra.tasks.trained import Input, NoOptions, Table, TrainedModel, Verb


class TaggedTokens(NamedTuple):
    """A sentence with predicted tags."""

    tokens: list[str]
    tags: list[str]  # one for each token
    spans: list[Span]  # that the tags describe where they are O, B- and I-; none for other tags
    probabilities: list[float]  # of each of the tags, given the whole sentence

    @property
    def text(self) -> str:
        """The tags, with spaces between."""
        return " ".join(self.tags)

    def as_json(self) -> Json:
        """All fields; spans with type, start and stop."""
        return {**self._asdict(), "spans": [span._asdict() for span in self.spans]}

    def as_table(self) -> Table:
        """A row for each token: token, tag, probability."""
        probabilities = [f"{probability:.4f}" for probability in self.probabilities]
        return Table(("token", "tag", "probability"), list(zip(self.tokens, self.tags, probabilities, strict=True)))


def predict(
    model: "TrainedTagger",
    inputs: list[Input],
    options: NoOptions,  # noqa: ARG001
    progress: Progress,
) -> list[TaggedTokens]:
    """The tags of each sentence, given as a list of tokens, or as a text that is split at spaces."""
    sentences = [split_at_spaces(one.value) if isinstance(one.value, str) else list(one.value) for one in inputs]
    found = []
    for tokens, prediction in zip(sentences, model.task.predict_tokens(sentences, progress), strict=True):
        tags = [model.labels[tag] for tag in prediction.tags]
        spans = spans_of(tags) if model.task.by_span else []
        probabilities = prediction.probabilities[range(len(tags)), prediction.tags].tolist()
        found.append(TaggedTokens(tokens, tags, spans, probabilities))
    return found


class TrainedTagger(TrainedModel[Tagging]):
    """A tagger, ready to use; arguments and errors as of `TrainedModel`."""

    verbs: ClassVar[Mapping[str, Verb]] = {"predict": Verb(NoOptions, predict)}

    def __init__(self, run: Run, device: str = "cpu") -> None:
        super().__init__(run, device)
        self.labels = self.task.labels

    def read_file(self, path: str, options: Mapping[str, Any], progress: Progress) -> Iterator[Input]:  # noqa: ARG002
        """The sentences of a file with or without tags, as lists of tokens; see `recurra.data.text.tagged`."""
        chosen = SentenceOptions.parse({**dict(self.task.recipe.data), **options}, path)
        for tokens in read_tokens(path, chosen.columns, self.labels):
            yield Input(" ".join(tokens), list(tokens))


TRAINED = TrainedTagger
