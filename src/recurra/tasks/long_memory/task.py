"""Long memory: generated problems whose answer depends on inputs hundreds of steps before."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
from pydantic import Field
from torch import Tensor

from recurra.config import Recipe, Section, TrainingOptions
from recurra.data.builtin.long_memory import GeneratedBatches, ProblemBatch
from recurra.errors import UsageError
from recurra.models.long_memory import LongMemoryNetwork, LongMemoryOptions
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.long_memory.data import problem_of
from recurra.tasks.task import Metric, NoPreprocessor, Preprocessor, Scores, StepLoss, digest_of, inference

HELD_OUT = {"valid": 0, "test": 1}  # parts of the random draws of a seed; the epochs are the parts after them
NUM_SAMPLES = 4
EVALUATION_BATCH = 250  # sequences


class LongMemoryData(Section):
    """The `[data]` section: the problem, its length and the number of sequences."""

    path: Literal["adding", "copy"] = Field(description="the problem: two marked numbers to add, or symbols to repeat")
    length: int = Field(
        200, ge=2, description="of adding: steps of a sequence; of copy: steps from the last symbol to the first answer"
    )
    train_size: int = Field(
        10_000, ge=1, description="sequences drawn for an epoch, new ones each time; rounded up to whole batches"
    )
    held_out_size: int = Field(2000, ge=1, description="sequences drawn for validation, and for the test")


class LongMemoryRecipe(Recipe):
    """A recipe for a memory problem."""

    task: Literal["long-memory"] = Field("long-memory", description="name of the task")
    data: LongMemoryData
    model: LongMemoryOptions = LongMemoryOptions()
    training: TrainingOptions = TrainingOptions()


class HeldOut(NamedTuple):
    """Sequences of a split."""

    inputs: Tensor  # as drawn, (time, batch, ...)
    targets: Tensor  # (batch,) or (time, batch)

    @property
    def digest(self) -> str:
        """SHA-256 of the sequences; where it differs, the training sequences are drawn differently, too."""
        return digest_of([self.inputs.numpy()], self.targets.numpy())


class LongMemory:
    """A generated problem and a recurrent network.

    Args:
        recipe: options of problem, model and training.
        preprocessor: none is needed.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    name: ClassVar[str] = "long-memory"
    recipe_type: ClassVar[type[Recipe]] = LongMemoryRecipe
    selection_metric: ClassVar[Metric] = Metric("loss")
    preprocessor_type: ClassVar[type[Preprocessor]] = NoPreprocessor
    item: ClassVar[str] = "sequence"
    usage: ClassVar[str] = "predict {run} SEQUENCES.jsonl"

    def __init__(self, recipe: LongMemoryRecipe, preprocessor: NoPreprocessor) -> None:
        self.recipe, self.preprocessor = recipe, preprocessor
        self.problem = problem_of(recipe.data.path, recipe.data.length)
        sizes = self.problem.input_size, self.problem.output_size
        self.model = LongMemoryNetwork(*sizes, self.problem.steps, recipe.model)
        self.encoded: dict[str, HeldOut] = {}

    @property
    def primary_metric(self) -> Metric:
        """Squared error of the sum, or accuracy of the recalled symbols."""
        return self.problem.primary_metric

    @classmethod
    def start(cls, recipe: LongMemoryRecipe, progress: Progress) -> Self:
        """Build a new model and draw the held-out sequences."""
        task = cls(recipe, NoPreprocessor())
        task.set_data(task.read_data(progress))
        return task

    @classmethod
    def check(cls, recipe: LongMemoryRecipe, progress: Progress) -> Json:
        """Number and length of the sequences, and the scores that are possible without memory."""
        task = cls.start(recipe, progress)
        sizes = {
            "train, each epoch": len(task.batches(0)) * recipe.training.batch_size,
            **dict.fromkeys(HELD_OUT, recipe.data.held_out_size),
        }
        without_memory = task.baselines(task.encoded, progress)[task.problem.baseline]
        return {
            "splits": {split: {"sequences": size, "steps": task.problem.steps} for split, size in sizes.items()},
            "without memory": {split: rounded(scores) for split, scores in without_memory.items()},
            "problems": [],
        }

    def read_data(self, progress: Progress) -> dict[str, ProblemBatch]:  # noqa: ARG002
        """Draw the held-out sequences of the recipe, which `--resume` may have changed: the digests show it."""
        data = self.recipe.data
        problem = problem_of(data.path, data.length)
        return {
            split: problem.draw(data.held_out_size, 1, self.recipe.seed, part)[0] for split, part in HELD_OUT.items()
        }

    def set_data(self, splits: dict[str, ProblemBatch]) -> None:
        """Keep the held-out sequences."""
        self.encoded = {split: HeldOut(*examples) for split, examples in splits.items()}

    def held_out(self) -> dict[str, "HeldOut"]:
        """The held-out sequences by split."""
        return self.encoded

    def read_held_out(self, data: Any, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:  # noqa: ARG002
        """Refuse other data.

        Raises:
            UsageError: always.
        """
        given = f"{data}" if str(data) != self.recipe.data.path else ", ".join(options)
        raise UsageError(f"{given}: a memory problem is evaluated on sequences that it generates; leave this out")

    def batches(self, epoch: int) -> GeneratedBatches:
        """New sequences for each epoch."""
        batch_size = self.recipe.training.batch_size
        num_batches = -(-self.recipe.data.train_size // batch_size)
        return self.problem.draw(batch_size, num_batches, self.recipe.seed, len(HELD_OUT) + epoch)

    def loss(self, batch: ProblemBatch, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean squared error of the sum, or mean cross entropy of a step, nats."""
        answers = self.answers(batch.inputs)
        mean = self.problem.loss(answers, batch.targets.to(answers.device))
        return StepLoss(mean, answers.shape[1], None)

    def answers(self, inputs: Tensor) -> Tensor:
        """Answers to a batch as it is drawn, (answers, batch, outputs)."""
        read = self.problem.read(inputs.to(self.model.output.weight.device))
        answers: Tensor = self.model(read, min(self.problem.num_answers, len(read)))
        return answers

    def predict(self, inputs: Tensor, progress: Progress, title: str = "evaluating") -> Tensor:
        """Answers to sequences in any number, on the CPU, (answers, batch, outputs)."""
        parts = inputs.split(EVALUATION_BATCH, 1)
        found = []
        with inference(self.model), progress.stage(title, len(parts)) as advance:
            for part in parts:
                found.append(self.answers(part).cpu())
                advance(1)
        return torch.cat(found, 1)

    def validate(self, progress: Progress) -> Scores:
        """Loss, the primary metric, and the share of sequences solved."""
        inputs, targets = self.encoded["valid"]
        answers = self.predict(inputs, progress, "validating")
        scores = self.problem.scores(answers, targets)
        return {
            "loss": float(self.problem.loss(answers, targets)),
            **{name: scores[name] for name in (self.primary_metric.name, "solved")},
        }

    def evaluate(self, splits: Mapping[str, "HeldOut"], progress: Progress) -> tuple[dict[str, Scores], Json]:
        """Scores on the held-out sequences; no details."""
        metrics = {
            split: self.problem.scores(self.predict(inputs, progress, f"evaluating {split}"), targets)
            for split, (inputs, targets) in splits.items()
        }
        return metrics, {}

    def baselines(
        self,
        splits: Mapping[str, "HeldOut"],
        progress: Progress,  # noqa: ARG002
    ) -> dict[str, dict[str, Scores]]:
        """The best scores that are possible without memory, by split."""
        scores = {
            split: self.problem.scores(self.problem.answers_without_memory(targets), targets)
            for split, (_, targets) in splits.items()
        }
        return {self.problem.baseline: scores}

    def samples(self) -> list[Json]:
        """The first validation sequences."""
        inputs = self.encoded["valid"].inputs
        return [{"sequence": inputs[:, index].tolist()} for index in range(min(NUM_SAMPLES, inputs.shape[1]))]

    def outputs_of(self, sample: Json) -> list[float]:
        """The sum, or the log-probabilities of each answer."""
        return self.problem.outputs(self.predict(self.problem.parse(sample["sequence"], "sample"), Progress()))


def rounded(scores: Scores) -> Scores:
    """Scores with four significant digits."""
    return {name: value if isinstance(value, int) else float(f"{value:.4g}") for name, value in scores.items()}


TASK = LongMemory
