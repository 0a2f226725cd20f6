"""A trained tagger in use."""

from collections.abc import Sequence
from typing import NamedTuple

from recurra.data.text.tagged import split_at_spaces
from recurra.metrics.spans import Span, spans_of
from recurra.progress import Progress
from recurra.tasks.tagging.task import Tagging
from recurra.tasks.trained import TrainedLabeller, refuse_one


class TaggedTokens(NamedTuple):
    """What a tagger says of a sentence."""

    tokens: list[str]
    tags: list[str]  # one a token
    spans: list[Span]  # what the tags mean where they are O, B- and I-, else none
    probabilities: list[float]  # of each of the tags, given the whole sentence


class TrainedTagger(TrainedLabeller[Tagging]):
    """A tagger, ready to use; arguments and errors as of `TrainedLabeller`."""

    task_type = Tagging

    def predict(self, sentences: Sequence[str | Sequence[str]]) -> list[TaggedTokens]:
        """The tag of every token of each sentence, given as a list of tokens or as text to be split at spaces.

        Raises:
            UsageError: a single text instead of a list.
        """
        refuse_one(sentences, "predict")
        given = [split_at_spaces(one) if isinstance(one, str) else list(one) for one in sentences]
        found = []
        for tokens, judgement in zip(given, self.task.judge_tokens(given, Progress()), strict=True):
            tags = [self.labels[tag] for tag in judgement.tags]
            spans = spans_of(tags) if self.task.by_span else []
            probabilities = judgement.probabilities[range(len(tags)), judgement.tags].tolist()
            found.append(TaggedTokens(tokens, tags, spans, probabilities))
        return found
