"""Classification: one label for a whole text or a whole series."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from recurra.baselines.naive_bayes import log_count_ratios
from recurra.config import Recipe, TrainingOptions
from recurra.data.batches import CollatedBatches, bucket_by_length, longest_first
from recurra.metrics.labels import UNKNOWN, classification_details, classification_scores
from recurra.models.classifier import ClassifierOptions, ClassifierOutput, SequenceClassifier, TokenEmbedding
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks import supervised
from recurra.tasks.classification.checks import check_examples
from recurra.tasks.classification.data import (
    ClassificationPreprocessor,
    Example,
    ExampleOptions,
    find_examples,
    find_other_examples,
    fit_inputs,
    refuse_other_keys,
)
from recurra.tasks.supervised import refuse_unknown
from recurra.tasks.task import Metric, Preprocessor, Scores, StepLoss, digest_of, inference

NUM_SAMPLES = 4
EVALUATION_BATCH = 256  # examples


class ClassificationTraining(TrainingOptions):
    """The `[training]` section: the common one, and what counts."""

    batch_size: int = Field(32, ge=1, description="sequences side by side in a step, of about one length")
    select_by: Literal["loss", "accuracy", "macro_f1"] = Field(
        "accuracy", description="metric on validation that chooses the best epoch and decides when patience ends"
    )
    class_weights: Literal["equal", "balanced"] = Field(
        "equal", description="balanced: an example counts the more in the loss the rarer its label is"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all labels")


class ClassificationRecipe(Recipe):
    """A recipe for a classifier."""

    task: Literal["classification"] = Field("classification", description="name of the task")
    data: ExampleOptions
    model: ClassifierOptions = ClassifierOptions()
    training: ClassificationTraining = ClassificationTraining()


class Encoded(NamedTuple):
    """The examples of a split as the model reads them."""

    sequences: list[NDArray[Any]]  # ids (time,), or measurements (time, channels)
    targets: NDArray[np.int64]  # (examples,), UNKNOWN where training had no such label

    @property
    def lengths(self) -> list[int]:
        """Steps of each."""
        return [len(sequence) for sequence in self.sequences]

    @property
    def digest(self) -> str:
        """SHA-256 of sequences and targets."""
        return digest_of(self.sequences, self.targets)


class Batch(NamedTuple):
    """Some examples."""

    inputs: Tensor  # ids (time, batch), or measurements (time, batch, channels); padded with 0
    lengths: Tensor  # (batch,)
    targets: Tensor  # (batch,)


class Classification:
    """A classifier and the labelled examples it is trained and evaluated on.

    Args:
        recipe: options of data, model and training.
        preprocessor: fitted to the training examples.
    """

    name: ClassVar[str] = "classification"
    recipe_type: ClassVar[type[Recipe]] = ClassificationRecipe
    preprocessor_type: ClassVar[type[Preprocessor]] = ClassificationPreprocessor
    primary_metric: ClassVar[Metric] = Metric("accuracy", higher_is_better=True)
    item: ClassVar[str] = "example"
    usage: ClassVar[str] = "predict {run} --file EXAMPLES"
    other_data_keys: ClassVar[tuple[str, ...]] = (
        "text_column",
        "label_column",
        "id_column",
        "time_column",
        "group_column",
        "on_bad",
        "unknown_labels",
    )

    held_out = supervised.held_out
    read_held_out = supervised.read_held_out
    evaluate = supervised.evaluate

    def __init__(self, recipe: ClassificationRecipe, preprocessor: ClassificationPreprocessor) -> None:
        self.recipe, self.preprocessor = recipe, preprocessor
        self.inputs, self.labels = preprocessor
        self.model = SequenceClassifier(self.inputs.shape, len(self.labels), recipe.model)
        self.splits: dict[str, list[Example]] = {}
        self.encoded: dict[str, Encoded] = {}

    @property
    def selection_metric(self) -> Metric:
        """`training.select_by` of the recipe."""
        name = self.recipe.training.select_by
        return Metric(name, higher_is_better=name != "loss")

    @classmethod
    def start(cls, recipe: ClassificationRecipe, progress: Progress) -> Self:
        """Read the examples of a recipe and build a new model.

        Raises:
            DataError: the examples cannot be used, or all have the same label.
            UsageError: a key about texts where the examples are series, or the other way round.
        """
        refuse_other_keys(recipe.data, recipe.model)
        splits = find_examples(recipe.data, progress)
        task = cls(recipe, ClassificationPreprocessor.fit(splits["train"], recipe.data))
        task.set_data(splits)
        task.initialize_embedding()
        return task

    def initialize_embedding(self) -> None:
        """Start token vectors from log-count ratios of the labels, where `model.naive_bayes` asks for it."""
        weight, layer, train = self.recipe.model.naive_bayes, self.model.input_layer, self.encoded["train"]
        if weight and isinstance(layer, TokenEmbedding):
            num_types = self.inputs.shape.vocabulary_size or 0
            ratios = log_count_ratios(train.sequences, train.targets, num_types, len(self.labels))
            layer.initialize_from_ratios(ratios, weight)

    @classmethod
    def check(cls, recipe: ClassificationRecipe, progress: Progress) -> Json:
        """Counts, lengths, label balance and repetitions of the examples of a recipe."""
        refuse_other_keys(recipe.data, recipe.model)
        splits = find_examples(recipe.data, progress)
        return check_examples(splits, fit_inputs(recipe.data, splits["train"]))

    @property
    def data_options(self) -> ExampleOptions:
        """The data options of the recipe; for series with the channels of training."""
        return self.inputs.options

    def read_data(self, progress: Progress) -> dict[str, list[Example]]:
        """Read the examples of the recipe by split.

        Raises:
            DataError: they cannot be used.
        """
        return find_examples(self.data_options, progress)

    def set_data(self, splits: dict[str, list[Example]]) -> None:
        """Encode examples by split and keep them.

        Raises:
            DataError: a label that no training example has, where `data.unknown_labels` is "fail".
        """
        self.refuse_unknown(splits, self.recipe.data)
        supervised.keep(self, splits)

    def refuse_unknown(self, splits: Mapping[str, Sequence[Example]], options: ExampleOptions) -> None:
        """Refuse a label that no training example has, where the options do not allow it."""
        if options.unknown_labels == "fail":
            examples = (example for part in splits.values() for example in part)
            refuse_unknown("label", self.labels, ((example.label, example.place) for example in examples))

    def encode(self, examples: Sequence[Example]) -> Encoded:
        """Examples as the model reads them."""
        return Encoded([self.inputs.encode(example.content) for example in examples], self.targets_of(examples))

    def targets_of(self, examples: Sequence[Example]) -> NDArray[np.int64]:
        """The label of each example by number, UNKNOWN where no training example has it."""
        ids = {label: index for index, label in enumerate(self.labels)}
        return np.array([ids.get(example.label, UNKNOWN) for example in examples], np.int64)

    def read_other(self, options: ExampleOptions, progress: Progress) -> dict[str, list[Example]]:
        """Read other examples to evaluate on, by split."""
        found = find_other_examples(options, progress)
        self.refuse_unknown(found, options)
        return found

    def batches(self, epoch: int) -> CollatedBatches[Batch]:
        """Training examples in batches of similar lengths, shuffled differently in each epoch."""
        encoded = self.encoded["train"]
        groups = bucket_by_length(encoded.lengths, self.recipe.training.batch_size, self.recipe.seed, epoch)
        return CollatedBatches(groups, partial(collate, encoded))

    def loss(self, batch: Batch, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean cross entropy of the right label, nats."""
        options = self.recipe.training
        logits = self.predict(batch).logits
        targets = batch.targets.to(logits.device)
        weights = None if options.class_weights == "equal" else self.class_weights().to(logits.device)
        mean = F.cross_entropy(logits, targets, weights, label_smoothing=options.label_smoothing)
        return StepLoss(mean, len(targets), None)

    def class_weights(self) -> Tensor:
        """Weight of each label: the mean number of examples of a label over that of its own."""
        counts = np.bincount(self.encoded["train"].targets, minlength=len(self.labels))
        return torch.from_numpy(counts.sum() / (len(counts) * np.maximum(counts, 1))).float()

    def predict(self, batch: Batch) -> ClassifierOutput:
        """Logits, and attention weights where the model has them."""
        device = self.model.output.weight.device
        output: ClassifierOutput = self.model(batch.inputs.to(device), batch.lengths)
        return output

    def outputs(
        self, encoded: Encoded, progress: Progress, title: str = "evaluating"
    ) -> Iterator[tuple[NDArray[np.integer], ClassifierOutput]]:
        """Outputs for all examples, in batches of similar lengths, each with the numbers of its examples."""
        batches = longest_first(encoded.lengths, EVALUATION_BATCH)
        with inference(self.model), progress.stage(title, len(batches)) as advance:
            for indices in batches:
                yield indices, self.predict(collate(encoded, indices))
                advance(1)

    def probabilities(self, encoded: Encoded, progress: Progress, title: str = "evaluating") -> NDArray[np.float64]:
        """Probability of each label, (examples, labels)."""
        found = np.zeros((len(encoded.targets), len(self.labels)))
        for indices, output in self.outputs(encoded, progress, title):
            found[indices] = output.logits.double().softmax(1).cpu().numpy()
        return found

    def validate(self, progress: Progress) -> Scores:
        """Loss, accuracy and macro F1 on the validation examples."""
        encoded = self.encoded["valid"]
        scores = classification_scores(self.probabilities(encoded, progress, "validating"), encoded.targets)
        return {name: scores[name] for name in ("loss", "accuracy", "macro_f1")}

    def evaluate_split(
        self, split: str, examples: Sequence[Example], encoded: Encoded, progress: Progress
    ) -> tuple[Scores, Json]:
        """Scores of the model on the examples of a split, and details for the evaluation page."""
        probabilities, targets = self.probabilities(encoded, progress, f"evaluating {split}"), encoded.targets
        details = classification_details(probabilities, targets, self.labels, partial(self.describe_example, examples))
        return classification_scores(probabilities, targets), details

    def describe_example(self, examples: Sequence[Example], number: int) -> Json:
        """One example as a row of a list."""
        example = examples[number]
        return {"place": example.place, "content": self.inputs.show(example.content), "label": example.label}

    def baselines(self, splits: Mapping[str, Sequence[Example]], progress: Progress) -> dict[str, dict[str, Scores]]:
        """Scores of models without recurrence, fitted to the same examples."""
        from recurra.baselines.labels import LabelPersistence, label_baselines  # loads scikit-learn

        train, trained = [example.content for example in self.splits["train"]], self.encoded["train"].targets.tolist()
        contents = [[example.content for example in examples] for examples in splits.values()]
        targets = [self.targets_of(examples) for examples in splits.values()]
        found: dict[str, dict[str, Scores]] = {}
        plain = label_baselines(self.inputs.features, self.recipe.seed)
        with progress.stage("training the baselines", len(plain)) as advance:
            for baseline in plain:
                advance(0, baseline.name)
                predicted = map(baseline.fit(train, trained, len(self.labels)).predict, contents)
                scores = map(classification_scores, predicted, targets)
                found[baseline.name] = dict(zip(splits, scores, strict=True))
                advance(1)
        if any(example.before is not None for example in self.splits["train"]):
            persistence = LabelPersistence().fit(self.before(self.splits["train"]), trained, len(self.labels))
            predicted = map(persistence.predict, map(self.before, splits.values()))
            found["persistence"] = dict(zip(splits, map(classification_scores, predicted, targets), strict=True))
        return found

    def before(self, examples: Sequence[Example]) -> list[int]:
        """The label that held before each example, UNKNOWN where no training example has it."""
        ids: dict[str | None, int] = {label: index for index, label in enumerate(self.labels)}
        return [ids.get(example.before, UNKNOWN) for example in examples]

    def samples(self) -> list[Json]:
        """The first validation examples."""
        return [self.inputs.dump(example.content) for example in self.splits["valid"][:NUM_SAMPLES]]

    def outputs_of(self, sample: Json) -> list[float]:
        """Probability of each label."""
        encoded = Encoded([self.inputs.encode(self.inputs.load(sample))], np.zeros(1, np.int64))
        found: list[float] = self.probabilities(encoded, Progress())[0].tolist()
        return found


def collate(encoded: Encoded, indices: NDArray[np.integer]) -> Batch:
    """Some examples side by side, the shorter ones padded with 0."""
    sequences = [encoded.sequences[index] for index in indices]
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    longest = max(int(lengths.max()), 1)
    inputs = np.zeros((longest, len(sequences), *sequences[0].shape[1:]), sequences[0].dtype)
    for column, sequence in enumerate(sequences):
        inputs[: len(sequence), column] = sequence
    return Batch(torch.from_numpy(inputs), lengths, torch.from_numpy(encoded.targets[indices]))


TASK = Classification
