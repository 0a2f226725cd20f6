"""A trained tagger in use."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from recurra.data.tagged import split_at_spaces
from recurra.errors import UsageError
from recurra.inference.opening import evaluate_run, evaluate_splits, is_own, open_task
from recurra.models.tag_scores import Span, spans_of
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.sentences import find_held_out
from recurra.tasks.tagging import Tagging


class TaggedTokens(NamedTuple):
    """What a tagger says of a sentence."""

    tokens: list[str]
    tags: list[str]  # one a token
    spans: list[Span]  # what the tags mean where they are O, B- and I-, else none
    probabilities: list[float]  # of each of the tags, given the whole sentence


class TrainedTagger:
    """The model of a run, ready to use.

    Args:
        run: the run folder.
        device: torch device to run on.

    Raises:
        RunError: missing, incomplete, damaged, or of another task.
        UsageError: no such device.
    """

    def __init__(self, run: Run, device: str = "cpu") -> None:
        self.run = run
        self.task = Tagging.restore(run)
        self.trained_steps = open_task(self.task, run, device)
        self.labels = self.task.labels

    def predict(self, sentences: Sequence[str | Sequence[str]]) -> list[TaggedTokens]:
        """The tag of every token of each sentence, given as a list of tokens or as text to be split at spaces.

        Raises:
            UsageError: a single text instead of a list.
        """
        if isinstance(sentences, str):
            raise UsageError(f"predict: expected a list, got one text; write predict([{sentences[:20]!r}])")
        given = [split_at_spaces(one) if isinstance(one, str) else list(one) for one in sentences]
        found = []
        for tokens, judgement in zip(given, self.task.judge_tokens(given, Progress()), strict=True):
            tags = [self.labels[tag] for tag in judgement.tags]
            spans = spans_of(tags) if self.task.by_span else []
            probabilities = judgement.probabilities[range(len(tags)), judgement.tags].tolist()
            found.append(TaggedTokens(tokens, tags, spans, probabilities))
        return found

    def evaluate(self, data: str | Path | None = None, progress: Progress | None = None) -> Json:
        """Scores of the model and, beside it, of plain taggers trained on the same sentences.

        Args:
            data: tagged sentences of the kind it was trained on, whose validation and test sentences count where they
                are split; by default the held-out sentences of the run.
            progress: told how far it is.

        Returns:
            Scores by model ("model", "majority", "word", "linear") and by split. The baselines are missing where the
            training sentences are no longer there.

        Raises:
            DataError: the sentences cannot be used, or those of the run are no longer what they were.
        """
        progress = progress or Progress()
        if is_own(data, self.task):
            return evaluate_run(self.task, self.run, progress)
        splits = find_held_out(self.task.recipe.data.model_copy(update={"path": str(data)}))
        return evaluate_splits(self.task, self.run, splits, progress)
