"""Language modelling: predict each next word, character or byte pair of a text."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field

from recurra.baselines.ngrams import LARGEST_SAMPLE, Trigram, Unigram, frequencies
from recurra.config import Recipe, Shares, TrainingOptions
from recurra.data.batches import TextWindow, TextWindows
from recurra.data.splits import held_out_splits
from recurra.data.text.corpus import TokenIds, encode_text
from recurra.data.text.files import Text, find_text, whole_text
from recurra.data.text.vocabulary import Vocabulary, VocabularyOptions
from recurra.errors import DataError
from recurra.models.language_model import LanguageModel, LanguageModelOptions
from recurra.nn import linear_cross_entropy
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.evaluation import inference
from recurra.tasks.task import Metric, Metrics, Report, StepLoss, parse_recipe, refuse_other_architecture

EVALUATION_STEPS = 64  # of a window; the state is carried, so it changes no result
EVALUATION_LANE = 8192  # tokens a lane has at least, so that the cold start of each weighs nothing
EVALUATION_LANES = 32  # lanes at the most
SAMPLE_TOKENS = 12
MOST_UNKNOWN = 0.1  # share of a split's tokens, above which `check` says so


class TextOptions(VocabularyOptions):
    """The `[data]` section: which text, and how it becomes tokens."""

    path: str = Field(description="a text file, a folder, or the name of a data set (see `recurra data list`)")
    valid: str | None = Field(None, description="validation text, where `path` does not bring it")
    test: str | None = Field(None, description="test text, where `path` does not bring it")
    shares: Shares = Field(
        (0.9, 0.05, 0.05), description="training, validation and test share of a text that is not split"
    )

    def splits(self) -> dict[str, Text]:
        """Text of "train", "valid" and "test" (which may be absent where the user gave only the other two).

        Raises:
            DataError: a text is missing or empty.
        """
        found = find_text(self.path)
        given = {name: whole_text(path) for name, path in (("valid", self.valid), ("test", self.test)) if path}
        if "all" not in found:
            splits = {**found, **given}
        elif "valid" in given:
            splits = {"train": found["all"], **given}
        else:
            splits = dict(zip(("train", "valid", "test"), found["all"].split(self.shares), strict=True)) | given
        if "valid" not in splits:
            train, valid = splits["train"].split((self.shares[0], 1 - self.shares[0]))
            splits |= {"train": train, "valid": valid}
        for name, text in splits.items():
            if not text.size:
                raise DataError(f"{text.name}: too short to split; its {name} part would be empty")
        return {name: splits[name] for name in ("train", "valid", "test") if name in splits}


class WindowOptions(TrainingOptions):
    """The `[training]` section: the common one, and the window of truncated backpropagation through time."""

    window: int = Field(35, ge=1, description="steps the gradient goes back; the state is carried beyond")


class LanguageModellingRecipe(Recipe):
    """A recipe for a language model."""

    task: Literal["language-modelling"] = Field("language-modelling", description="name of the task")
    data: TextOptions
    model: LanguageModelOptions = LanguageModelOptions()
    training: WindowOptions = WindowOptions()


class LanguageModelling:
    """A vocabulary, a language model, and the text they are trained and judged on.

    Args:
        recipe: what to train on what.
        vocabulary: types of the text.
    """

    name: ClassVar[str] = "language-modelling"
    recipe_type: ClassVar[type[Recipe]] = LanguageModellingRecipe
    primary_metric: ClassVar[Metric] = Metric("perplexity")
    selection_metric: ClassVar[Metric] = Metric("loss")
    item: ClassVar[str] = "token"

    def __init__(self, recipe: LanguageModellingRecipe, vocabulary: Vocabulary) -> None:
        self.recipe = recipe
        self.vocabulary = vocabulary
        self.model = LanguageModel(len(vocabulary), recipe.model)
        self.splits: dict[str, TokenIds] = {}

    @classmethod
    def start(cls, recipe: LanguageModellingRecipe, progress: Progress) -> Self:
        """A new model for the text the recipe names.

        Raises:
            DataError: the text is missing, empty, not UTF-8, too short, or all of one type.
        """
        train = recipe.data.splits()["train"]
        with progress.stage("counting types", train.size) as advance:
            vocabulary = Vocabulary.of(train.pieces(advance), recipe.data)
        task = cls(recipe, vocabulary)
        task.load_data(progress)
        if recipe.model.initial_range is None:
            task.model.initialize_output_bias(torch.from_numpy(frequencies(task.splits["train"].ids, len(vocabulary))))
        return task

    @classmethod
    def check(cls, recipe: LanguageModellingRecipe, progress: Progress) -> Json:
        """Tokens of each split, and how many of them the vocabulary would lack."""
        task = cls.start(recipe, progress)
        splits = {
            name: {"tokens": len(tokens), "characters": tokens.num_characters, "unknown": tokens.num_unknown}
            for name, tokens in task.splits.items()
        }
        problems = [
            f"{row['unknown'] / row['tokens']:.0%} of the tokens of {name} are unknown; raise vocabulary_size"
            for name, row in splits.items()
            if row["unknown"] > MOST_UNKNOWN * row["tokens"]
        ]
        return {"splits": splits, "vocabulary": {"types": {"kept": len(task.vocabulary)}}, "problems": problems}

    @classmethod
    def restore(cls, run: Run) -> Self:
        """The model of a run as its architecture, without weights and text.

        Raises:
            RunError: missing, damaged, or of another task.
        """
        description, recipe = parse_recipe(run, LanguageModellingRecipe)
        vocabulary = Vocabulary.parse(run.read("tokenizer.json"), recipe.data.unit)
        task = cls(recipe, vocabulary)
        refuse_other_architecture(run, description["architecture"], task.architecture)
        return task

    @property
    def architecture(self) -> Json:
        """What the model is built from."""
        return {"vocabulary_size": len(self.vocabulary), **self.recipe.model.model_dump(mode="json")}

    def load_data(self, progress: Progress) -> None:
        """Encode the text the recipe names.

        Raises:
            DataError: missing, empty, not UTF-8, or shorter than one window in each lane.
        """
        for name, text in self.recipe.data.splits().items():
            self.splits[name] = encode_text(text, self.vocabulary, progress, f"encoding {name}")
        lanes, window = self.recipe.training.batch_size, self.recipe.training.window
        tokens = len(self.splits["train"].ids)
        if tokens < lanes * window:
            raise DataError(
                f"{self.recipe.data.path}: {tokens:,} training tokens are fewer than one window of {window} steps in "
                f"each of {lanes} lanes ({lanes * window:,}); give more text, or a smaller batch_size or window"
            )

    def describe(self) -> tuple[Json, Mapping[str, str]]:
        """What model.json says, and the files that belong to the model."""
        return {"architecture": self.architecture}, {"tokenizer.json": self.vocabulary.dump()}

    def fingerprint(self) -> dict[str, str]:
        """Digest of the encoded text of each split."""
        return {name: tokens.digest for name, tokens in self.splits.items()}

    def batches(self, epoch: int) -> TextWindows:  # noqa: ARG002
        """Windows of the training text; every epoch reads it in the same order."""
        options = self.recipe.training
        return TextWindows(self.splits["train"].ids, options.batch_size, options.window, self.vocabulary.start_id)

    def loss(self, batch: TextWindow, state: Any) -> StepLoss:
        """Mean nats per token of a window; the state comes out cut from its history."""
        output = self.model.output
        inputs, targets = (part.to(output.weight.device) for part in batch)
        hidden, state = self.model.hidden(inputs, state)
        total = linear_cross_entropy(hidden, output.weight, output.bias, targets)
        num_items = int((targets >= 0).sum())
        return StepLoss(total / num_items, num_items, self.model.detach(state))

    @staticmethod
    def describe_loss(loss: float) -> str:
        """Nats per token, and the perplexity they mean."""
        return f"loss {loss:.3f}  perplexity {perplexity(loss):.4g}"

    def evaluate(self, tokens: TokenIds, progress: Progress, title: str = "evaluating") -> Metrics:
        """Perplexity of the model on a text.

        The text is read in a few long lanes, each from an empty state; every token counts once.

        Returns:
            loss (nats per token), perplexity, bits_per_character (unknown words count as what `<unk>` costs),
            tokens, unknown (tokens that are `<unk>`).
        """
        num_lanes = min(max(len(tokens.ids) // EVALUATION_LANE, 1), EVALUATION_LANES)
        lanes = TextWindows(tokens.ids, num_lanes, EVALUATION_STEPS, self.vocabulary.start_id)
        total, state = 0.0, None
        with inference(self.model), progress.stage(title, len(lanes)) as advance:
            for window in lanes:
                step = self.loss(window, state)
                total, state = total + step.mean.item() * step.num_items, step.state
                advance(1)
        return metrics_of(total, tokens)

    def validate(self, progress: Progress) -> Metrics:
        """Loss and perplexity on the validation text."""
        metrics = self.evaluate(self.splits["valid"], progress, "validating")
        return {name: metrics[name] for name in ("loss", "perplexity")}

    def report(self, progress: Progress) -> Report:
        """The model and its baselines on the validation and test text."""
        held_out = held_out_splits(self.splits)
        model = {name: self.evaluate(tokens, progress, f"evaluating {name}") for name, tokens in held_out.items()}
        return Report({"model": model, **self.baselines(held_out, progress)}, {})

    def baselines(self, texts: Mapping[str, TokenIds], progress: Progress) -> dict[str, dict[str, Metrics]]:
        """What counting reaches on some texts: unigrams, and Kneser-Ney trigrams."""
        result = {}
        train = self.splits["train"].ids
        if len(train) > LARGEST_SAMPLE:
            progress.note(f"the trigram baseline counts the first {LARGEST_SAMPLE:,} of {len(train):,} training tokens")
        with progress.stage("counting n-grams", 2) as advance:
            for baseline in (Unigram, Trigram):
                counted = baseline(len(self.vocabulary)).fit(train)
                result[baseline.name] = {
                    name: metrics_of(counted.nats(tokens.ids, self.vocabulary.start_id), tokens)
                    for name, tokens in texts.items()
                }
                advance(1)
        return result

    def samples(self) -> list[Json]:
        """The beginning of the validation text."""
        ids = np.asarray(self.splits["valid"].ids[: SAMPLE_TOKENS + 1]).astype(int).tolist()
        return [{"ids": ids, "text": self.vocabulary.decode(ids)}]

    def outputs_of(self, sample: Json) -> list[float]:
        """Log-probability of each token, in nats."""
        return self.log_probabilities(sample["ids"])

    def log_probabilities(self, ids: list[int]) -> list[float]:
        """Log-probability of each token of a text that begins a line, in nats."""
        device = self.model.output.weight.device
        inputs = torch.tensor([self.vocabulary.start_id, *ids[:-1]], device=device).unsqueeze(1)  # (time, 1)
        with inference(self.model):
            logits, _ = self.model(inputs)
        targets = torch.tensor(ids, device=device).unsqueeze(1)
        picked: list[float] = logits[:, 0].log_softmax(-1).gather(1, targets).squeeze(1).tolist()
        return picked


def perplexity(loss: float) -> float:
    """Perplexity of a loss in nats per token, up to where floating point ends."""
    return math.exp(min(loss, 700))


def metrics_of(nats: float, tokens: TokenIds) -> Metrics:
    """Total negative log-probability of a text in the usual units."""
    loss = nats / len(tokens.ids)
    return {
        "loss": loss,
        "perplexity": perplexity(loss),
        "bits_per_character": nats / math.log(2) / tokens.num_characters,
        "tokens": len(tokens.ids),
        "unknown": tokens.num_unknown,
    }
