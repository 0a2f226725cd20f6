"""Language modelling: predict each next word, character or byte pair of a text."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field

from recurra.baselines.ngrams import LARGEST_SAMPLE, Trigram, Unigram, frequencies
from recurra.config import Recipe, TrainingOptions
from recurra.data.batches import TextWindow, TextWindows
from recurra.data.splits import held_out_splits
from recurra.data.text.corpus import TokenIds
from recurra.data.text.files import find_text
from recurra.errors import DataError, UsageError
from recurra.models.language_model import LanguageModel, LanguageModelOptions
from recurra.nn import linear_cross_entropy
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.language_modelling.data import (
    LanguageModellingPreprocessor,
    TextOptions,
    check_tokens,
    encode_texts,
    find_texts,
)
from recurra.tasks.task import Metric, Preprocessor, Scores, StepLoss, inference

EVALUATION_STEPS = 64  # of a window; the state is carried, so the result does not depend on it
EVALUATION_STREAM = 8192  # tokens of a stream at least, so that its start from an empty state hardly counts
EVALUATION_STREAMS = 32  # streams side by side, at most
SAMPLE_TOKENS = 12


class LanguageModellingTraining(TrainingOptions):
    """The `[training]` section: the common options, and the window of truncated backpropagation through time."""

    window: int = Field(
        35, ge=1, description="steps of truncated backpropagation through time; the state is carried beyond"
    )


class LanguageModellingRecipe(Recipe):
    """A recipe for a language model."""

    task: Literal["language-modelling"] = Field("language-modelling", description="name of the task")
    data: TextOptions
    model: LanguageModelOptions = LanguageModelOptions()
    training: LanguageModellingTraining = LanguageModellingTraining()


class LanguageModelling:
    """A language model and the text it is trained and evaluated on.

    Args:
        recipe: options of data, model and training.
        preprocessor: fitted to the training text.
    """

    name: ClassVar[str] = "language-modelling"
    recipe_type: ClassVar[type[Recipe]] = LanguageModellingRecipe
    preprocessor_type: ClassVar[type[Preprocessor]] = LanguageModellingPreprocessor
    primary_metric: ClassVar[Metric] = Metric("perplexity")
    selection_metric: ClassVar[Metric] = Metric("loss")
    item: ClassVar[str] = "token"
    usage: ClassVar[str] = "generate {run} PROMPT"

    def __init__(self, recipe: LanguageModellingRecipe, preprocessor: LanguageModellingPreprocessor) -> None:
        self.recipe, self.preprocessor = recipe, preprocessor
        self.vocabulary = preprocessor.vocabulary
        self.model = LanguageModel(len(self.vocabulary), recipe.model)
        self.encoded: dict[str, TokenIds] = {}

    @classmethod
    def start(cls, recipe: LanguageModellingRecipe, progress: Progress) -> Self:
        """Read the text of a recipe and build a new model.

        Raises:
            DataError: the text is missing, empty, not UTF-8, too short, or has fewer than two types.
        """
        texts = find_texts(recipe.data)
        task = cls(recipe, LanguageModellingPreprocessor.fit(texts["train"], recipe.data, progress))
        task.set_data(encode_texts(texts, task.vocabulary, progress))
        if recipe.model.initial_range is None:
            shares = frequencies(task.encoded["train"].ids, len(task.vocabulary))
            task.model.initialize_output_bias(torch.from_numpy(shares))
        return task

    @classmethod
    def check(cls, recipe: LanguageModellingRecipe, progress: Progress) -> Json:
        """Tokens of each split of a recipe, and how many of them are not in the vocabulary."""
        task = cls.start(recipe, progress)
        return check_tokens(task.encoded, task.vocabulary)

    def read_data(self, progress: Progress) -> dict[str, TokenIds]:
        """Read and encode the text of the recipe by split; encoded text comes from the cache.

        Raises:
            DataError: it cannot be used.
        """
        return encode_texts(find_texts(self.recipe.data), self.vocabulary, progress)

    def set_data(self, splits: dict[str, TokenIds]) -> None:
        """Keep encoded text by split.

        Raises:
            DataError: the training text is shorter than one window in each stream.
        """
        streams, window = self.recipe.training.batch_size, self.recipe.training.window
        tokens = len(splits["train"])
        if tokens < streams * window:
            raise DataError(
                f"{self.recipe.data.path}: {tokens:,} training tokens are fewer than one window of {window} steps in "
                f"each of {streams} streams ({streams * window:,}); give more text, or a smaller batch_size or window"
            )
        self.encoded = splits

    def batches(self, epoch: int) -> TextWindows:  # noqa: ARG002
        """Windows of the training text, in the order of the text in every epoch."""
        options = self.recipe.training
        return TextWindows(self.encoded["train"].ids, options.batch_size, options.window, self.vocabulary.start_id)

    def loss(self, batch: TextWindow, state: Any) -> StepLoss:
        """Mean cross entropy of a window, nats per token; the new state is detached from its graph."""
        output = self.model.output
        inputs, targets = (part.to(output.weight.device) for part in batch)
        hidden, state = self.model.hidden(inputs, state)
        total = linear_cross_entropy(hidden, output.weight, output.bias, targets)
        num_items = int((targets >= 0).sum())
        return StepLoss(total / num_items, num_items, self.model.detach(state))

    def evaluate_text(self, tokens: TokenIds, progress: Progress, title: str = "evaluating") -> Scores:
        """Scores of the model on a text.

        The text is cut into a few long streams, each of which starts from an empty state; every token counts once.

        Returns:
            See `text_scores`.
        """
        num_streams = min(max(len(tokens) // EVALUATION_STREAM, 1), EVALUATION_STREAMS)
        windows = TextWindows(tokens.ids, num_streams, EVALUATION_STEPS, self.vocabulary.start_id)
        total, state = 0.0, None
        with inference(self.model), progress.stage(title, len(windows)) as advance:
            for window in windows:
                step = self.loss(window, state)
                total, state = total + step.mean.item() * step.num_items, step.state
                advance(1)
        return text_scores(total, tokens)

    def validate(self, progress: Progress) -> Scores:
        """Loss and perplexity on the validation text."""
        scores = self.evaluate_text(self.encoded["valid"], progress, "validating")
        return {name: scores[name] for name in ("loss", "perplexity")}

    def held_out(self) -> dict[str, TokenIds]:
        """The validation and test text."""
        return held_out_splits(self.encoded)

    def read_held_out(self, data: Any, options: Mapping[str, Any], progress: Progress) -> dict[str, TokenIds]:
        """Read other text to evaluate on, by split; "all" where it has no splits.

        Args:
            data: a text file, a folder or the name of a data set.
            options: must be empty, since all text is read in the same way.
            progress: shows how far encoding is.

        Raises:
            DataError: missing, empty or not UTF-8.
            UsageError: an option.
        """
        if options:
            raise UsageError(
                f"{next(iter(options))}: is fixed by the training; other text is read in the same way, leave it out"
            )
        found = find_text(str(data))
        return encode_texts(held_out_splits(found) or found, self.vocabulary, progress)

    def evaluate(self, splits: Mapping[str, TokenIds], progress: Progress) -> tuple[dict[str, Scores], Json]:
        """Scores of the model by split; no details."""
        scores = {
            split: self.evaluate_text(tokens, progress, f"evaluating {split}") for split, tokens in splits.items()
        }
        return scores, {}

    def baselines(self, splits: Mapping[str, TokenIds], progress: Progress) -> dict[str, dict[str, Scores]]:
        """Scores of a unigram model and of a Kneser-Ney trigram model, counted on the training text."""
        found = {}
        train = self.encoded["train"].ids
        if len(train) > LARGEST_SAMPLE:
            progress.note(f"the trigram baseline counts the first {LARGEST_SAMPLE:,} of {len(train):,} training tokens")
        with progress.stage("counting n-grams", 2) as advance:
            for baseline in (Unigram, Trigram):
                counted = baseline(len(self.vocabulary)).fit(train)
                found[baseline.name] = {
                    split: text_scores(counted.nats(tokens.ids, self.vocabulary.start_id), tokens)
                    for split, tokens in splits.items()
                }
                advance(1)
        return found

    def samples(self) -> list[Json]:
        """The beginning of the validation text."""
        ids = np.asarray(self.encoded["valid"].ids[: SAMPLE_TOKENS + 1]).astype(int).tolist()
        return [{"ids": ids, "text": self.vocabulary.decode(ids)}]

    def outputs_of(self, sample: Json) -> list[float]:
        """Log-probability of each token, in nats."""
        return self.log_probabilities(sample["ids"])

    def log_probabilities(self, ids: list[int]) -> list[float]:
        """Log-probability of each token of a text from the beginning of a line, in nats."""
        device = self.model.output.weight.device
        inputs = torch.tensor([self.vocabulary.start_id, *ids[:-1]], device=device).unsqueeze(1)  # (time, 1)
        with inference(self.model):
            logits, _ = self.model(inputs)  # (time, 1, vocabulary)
        targets = torch.tensor(ids, device=device).unsqueeze(1)  # (time, 1)
        picked: list[float] = logits[:, 0].log_softmax(-1).gather(1, targets).squeeze(1).tolist()
        return picked


def perplexity(loss: float) -> float:
    """Perplexity of a loss in nats per token, at most about 1e304."""
    return math.exp(min(loss, 700))


def text_scores(nats: float, tokens: TokenIds) -> Scores:
    """Scores of a text.

    Args:
        nats: negative log-probability of the whole text.
        tokens: the text.

    Returns:
        loss (nats per token), perplexity, bits_per_character (an unknown word costs what `<unk>` costs), tokens (their
        number), unknown (number of tokens that are `<unk>`).
    """
    loss = nats / len(tokens)
    return {
        "loss": loss,
        "perplexity": perplexity(loss),
        "bits_per_character": nats / math.log(2) / tokens.num_characters,
        "tokens": len(tokens),
        "unknown": tokens.num_unknown,
    }


TASK = LanguageModelling
