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

from recurra.baselines.labels import LabelPersistence, label_baselines
from recurra.baselines.naive_bayes import log_count_ratios
from recurra.config import Recipe, TrainingOptions
from recurra.data.batches import CollatedBatches, bucket_by_length, longest_first
from recurra.errors import DataError, shortened
from recurra.metrics.labels import UNKNOWN, classification_details, classification_scores
from recurra.models.classifier import ClassifierOptions, ClassifierOutput, SequenceClassifier, TokenEmbedding
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.checks import check_examples
from recurra.tasks.classification.data import (
    Example,
    ExampleOptions,
    Inputs,
    digest_of,
    find_examples,
    find_held_out,
    fit_inputs,
    parse_inputs,
    refuse_other_keys,
)
from recurra.tasks.evaluation import inference
from recurra.tasks.supervised import JudgedTask, refuse_unknown
from recurra.tasks.task import Metric, Metrics, StepLoss, parse_recipe, refuse_other_architecture

NUM_SAMPLES = 4
JUDGED_AT_ONCE = 256  # examples


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


class Batch(NamedTuple):
    """Some examples."""

    inputs: Tensor  # ids (time, batch), or measurements (time, batch, channels); padded with 0
    lengths: Tensor  # (batch,)
    targets: Tensor  # (batch,)


class Classification(JudgedTask[Example, Encoded]):
    """Labels, a classifier, and the examples it is trained and judged on.

    Args:
        recipe: what to train on what.
        inputs: how an example becomes what the model reads.
        labels: between which it decides.
    """

    name: ClassVar[str] = "classification"
    recipe_type: ClassVar[type[Recipe]] = ClassificationRecipe
    primary_metric: ClassVar[Metric] = Metric("accuracy", higher_is_better=True)
    item: ClassVar[str] = "example"
    may_differ: ClassVar[tuple[str, ...]] = (
        "text_column",
        "label_column",
        "id_column",
        "time_column",
        "group_column",
        "on_bad",
        "unknown_labels",
    )

    def __init__(self, recipe: ClassificationRecipe, inputs: Inputs, labels: Sequence[str]) -> None:
        self.recipe, self.inputs, self.labels = recipe, inputs, list(labels)
        self.model = SequenceClassifier(inputs.shape, len(self.labels), recipe.model)
        self.splits, self.encoded = {}, {}

    @property
    def selection_metric(self) -> Metric:
        """As the recipe names it."""
        name = self.recipe.training.select_by
        return Metric(name, higher_is_better=name != "loss")

    @classmethod
    def start(cls, recipe: ClassificationRecipe, progress: Progress) -> Self:
        """A new model for the examples the recipe names.

        Raises:
            DataError: they cannot be used, or have one label only.
            UsageError: a key that is about examples of the other kind.
        """
        refuse_other_keys(recipe.data, recipe.model)
        splits = find_examples(recipe.data, progress)
        labels = sorted({example.label for example in splits["train"]})
        if len(labels) < 2:
            raise DataError(
                f"{recipe.data.path}: all training examples have the label {shortened(labels[0])!r}; expected at least "
                "two labels"
            )
        task = cls(recipe, fit_inputs(recipe.data, splits["train"]), labels)
        task.take(splits)
        weight, front, (sequences, targets) = recipe.model.naive_bayes, task.model.input_layer, task.encoded["train"]
        if weight and isinstance(front, TokenEmbedding):
            front.initialize_from_ratios(
                log_count_ratios(sequences, targets, task.inputs.shape.vocabulary_size or 0, len(labels)), weight
            )
        return task

    @classmethod
    def check(cls, recipe: ClassificationRecipe, progress: Progress) -> Json:
        """Counts, lengths, label balance and repetitions of the examples the recipe names."""
        refuse_other_keys(recipe.data, recipe.model)
        splits = find_examples(recipe.data, progress)
        return check_examples(splits, fit_inputs(recipe.data, splits["train"]))

    @classmethod
    def restore(cls, run: Run) -> Self:
        """The model of a run as its architecture, without weights and examples.

        Raises:
            RunError: missing, damaged, or of another task.
        """
        description, recipe = parse_recipe(run, ClassificationRecipe)
        inputs = parse_inputs(run, recipe.data, description["architecture"]["inputs"], description["channels"])
        task = cls(recipe, inputs, description["labels"])
        refuse_other_architecture(run, description["architecture"], task.architecture)
        return task

    @property
    def architecture(self) -> Json:
        """What the model is built from."""
        return {"inputs": self.inputs.shape._asdict(), **self.recipe.model.model_dump(mode="json")}

    def load_data(self, progress: Progress) -> None:
        """Read the examples the recipe names.

        Raises:
            DataError: they cannot be used, or a label of theirs is none of the model's.
        """
        self.take(find_examples(self.inputs.options, progress))

    def take(self, splits: dict[str, list[Example]]) -> None:
        """Encode examples by split."""
        self.refuse_unknown(splits, self.recipe.data)
        super().take(splits)

    def refuse_unknown(self, splits: Mapping[str, Sequence[Example]], options: ExampleOptions) -> None:
        """Refuse a label that no training example has, where the options do not allow it."""
        if options.unknown_labels == "fail":
            examples = (example for part in splits.values() for example in part)
            refuse_unknown("label", self.labels, ((example.label, example.place) for example in examples))

    def encode(self, examples: Sequence[Example]) -> Encoded:
        """Examples as the model reads them."""
        return Encoded([self.inputs.encode(example.content) for example in examples], self.targets_of(examples))

    def targets_of(self, examples: Sequence[Example]) -> NDArray[np.int64]:
        """The label of each example, UNKNOWN where no training example has it."""
        ids = {label: index for index, label in enumerate(self.labels)}
        return np.array([ids.get(example.label, UNKNOWN) for example in examples], np.int64)

    @property
    def data_options(self) -> ExampleOptions:
        """How the examples are read, series by the channels that were trained on."""
        return self.inputs.options

    def read_held_out(self, options: ExampleOptions, progress: Progress) -> dict[str, list[Example]]:
        """Other examples to judge by, by split."""
        found = find_held_out(options, progress)
        self.refuse_unknown(found, options)
        return found

    def describe(self) -> tuple[Json, Mapping[str, str]]:
        """What model.json says, and the files that belong to the model."""
        channels = self.inputs.options.channels or []
        return {"architecture": self.architecture, "labels": self.labels, "channels": channels}, self.inputs.files()

    def fingerprint(self) -> dict[str, str]:
        """Digest of the encoded examples of each split."""
        return {split: digest_of(encoded.sequences, encoded.targets) for split, encoded in self.encoded.items()}

    def batches(self, epoch: int) -> CollatedBatches[Batch]:
        """Training examples in batches of about one length, in an order of the epoch's own."""
        encoded = self.encoded["train"]
        groups = bucket_by_length(encoded.lengths, self.recipe.training.batch_size, self.recipe.seed, epoch)
        return CollatedBatches(groups, partial(collate, encoded))

    def loss(self, batch: Batch, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean nats of the right label."""
        options = self.recipe.training
        logits = self.judge(batch).logits
        targets = batch.targets.to(logits.device)
        weights = None if options.class_weights == "equal" else self.class_weights().to(logits.device)
        mean = F.cross_entropy(logits, targets, weights, label_smoothing=options.label_smoothing)
        return StepLoss(mean, len(targets), None)

    def class_weights(self) -> Tensor:
        """Weight of each label: the mean number of examples of a label over that of its own."""
        counts = np.bincount(self.encoded["train"].targets, minlength=len(self.labels))
        return torch.from_numpy(counts.sum() / (len(counts) * np.maximum(counts, 1))).float()

    def judge(self, batch: Batch) -> ClassifierOutput:
        """What the model says of a batch."""
        device = self.model.output.weight.device
        verdict: ClassifierOutput = self.model(batch.inputs.to(device), batch.lengths)
        return verdict

    @staticmethod
    def describe_loss(loss: float) -> str:
        """Nats of the right label."""
        return f"loss {loss:.3f}"

    def verdicts(
        self, encoded: Encoded, progress: Progress, title: str = "evaluating"
    ) -> Iterator[tuple[NDArray[np.integer], ClassifierOutput]]:
        """What the model says of examples, some of about one length at once, with their numbers."""
        batches = longest_first(encoded.lengths, JUDGED_AT_ONCE)
        with inference(self.model), progress.stage(title, len(batches)) as advance:
            for indices in batches:
                yield indices, self.judge(collate(encoded, indices))
                advance(1)

    def probabilities(self, encoded: Encoded, progress: Progress, title: str = "evaluating") -> NDArray[np.float64]:
        """Probability of each label, (examples, labels)."""
        found = np.zeros((len(encoded.targets), len(self.labels)))
        for indices, verdict in self.verdicts(encoded, progress, title):
            found[indices] = verdict.logits.double().softmax(1).cpu().numpy()
        return found

    def validate(self, progress: Progress) -> Metrics:
        """Loss, accuracy and macro F1 on the validation examples."""
        encoded = self.encoded["valid"]
        scores = classification_scores(self.probabilities(encoded, progress, "validating"), encoded.targets)
        return {name: scores[name] for name in ("loss", "accuracy", "macro_f1")}

    def judge_split(
        self, split: str, examples: Sequence[Example], encoded: Encoded, progress: Progress
    ) -> tuple[Metrics, Json]:
        """Scores of the model on the examples of a split, and what figures are drawn from."""
        probabilities, targets = self.probabilities(encoded, progress, f"evaluating {split}"), encoded.targets
        details = classification_details(probabilities, targets, self.labels, partial(self.tell, examples))
        return classification_scores(probabilities, targets), details

    def tell(self, examples: Sequence[Example], number: int) -> Json:
        """One of some examples, for a list of them."""
        example = examples[number]
        return {"place": example.place, "content": self.inputs.show(example.content), "label": example.label}

    def baselines(self, splits: Mapping[str, Sequence[Example]], progress: Progress) -> dict[str, dict[str, Metrics]]:
        """What models without recurrence reach, trained on the same examples."""
        train, trained = [example.content for example in self.splits["train"]], self.encoded["train"].targets.tolist()
        contents = [[example.content for example in examples] for examples in splits.values()]
        targets = [self.targets_of(examples) for examples in splits.values()]
        found: dict[str, dict[str, Metrics]] = {}
        plain = label_baselines(self.inputs.features, self.recipe.seed)
        with progress.stage("training the baselines", len(plain)) as advance:
            for baseline in plain:
                advance(0, baseline.name)
                judged = map(baseline.fit(train, trained, len(self.labels)).predict, contents)
                scores = map(classification_scores, judged, targets)
                found[baseline.name] = dict(zip(splits, scores, strict=True))
                advance(1)
        if any(example.before is not None for example in self.splits["train"]):
            persistence = LabelPersistence().fit(self.before(self.splits["train"]), trained, len(self.labels))
            judged = map(persistence.predict, map(self.before, splits.values()))
            found["persistence"] = dict(zip(splits, map(classification_scores, judged, targets), strict=True))
        return found

    def before(self, examples: Sequence[Example]) -> list[int]:
        """The label that held before each example, UNKNOWN where it is none of the model's."""
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
