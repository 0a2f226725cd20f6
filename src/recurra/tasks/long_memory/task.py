"""Memory: generated problems whose answer stands hundreds of steps before the question."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor

from recurra.config import Recipe, Section, TrainingOptions
from recurra.data.builtin.long_memory import GeneratedBatches, ProblemBatch
from recurra.models.long_memory import LongMemoryNetwork, LongMemoryOptions
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.classification.data import digest_of
from recurra.tasks.evaluation import inference
from recurra.tasks.long_memory.data import problem_of
from recurra.tasks.task import Metric, Metrics, Report, StepLoss, parse_recipe, refuse_other_architecture

HELD_OUT = {"valid": 0, "test": 1}  # parts of what a seed draws; the epochs are those after them
NUM_SAMPLES = 4
JUDGED_AT_ONCE = 250  # sequences


class MemoryData(Section):
    """The `[data]` section: which problem, how hard, how much of it."""

    path: Literal["adding", "copy"] = Field(description="the problem: two marked numbers to add, or symbols to repeat")
    length: int = Field(
        200, ge=2, description="of adding: steps of a sequence; of copy: steps from the last symbol to the first answer"
    )
    train_size: int = Field(
        10_000, ge=1, description="sequences drawn for an epoch, new ones each time; rounded up to whole batches"
    )
    held_out_size: int = Field(2000, ge=1, description="sequences drawn for validation, and for the test")


class MemoryRecipe(Recipe):
    """A recipe for a memory problem."""

    task: Literal["memory"] = Field("memory", description="name of the task")
    data: MemoryData
    model: LongMemoryOptions = LongMemoryOptions()
    training: TrainingOptions = TrainingOptions()


class Memory:
    """A generated problem and a network that is to remember.

    Args:
        recipe: which problem, and what network.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    name: ClassVar[str] = "memory"
    recipe_type: ClassVar[type[Recipe]] = MemoryRecipe
    selection_metric: ClassVar[Metric] = Metric("loss")
    item: ClassVar[str] = "sequence"

    def __init__(self, recipe: MemoryRecipe) -> None:
        self.recipe = recipe
        self.problem = problem_of(recipe.data.path, recipe.data.length)
        sizes = self.problem.input_size, self.problem.output_size
        self.model = LongMemoryNetwork(*sizes, self.problem.steps, recipe.model)
        self.held_out: dict[str, ProblemBatch] = {}

    @property
    def primary_metric(self) -> Metric:
        """Squared error of the sum, or accuracy of the symbols recalled."""
        return self.problem.primary_metric

    @classmethod
    def start(cls, recipe: MemoryRecipe, progress: Progress) -> Self:
        """A new model for the problem the recipe names."""
        task = cls(recipe)
        task.load_data(progress)
        return task

    @classmethod
    def check(cls, recipe: MemoryRecipe, progress: Progress) -> Json:
        """How many sequences of how many steps, and what can be had without memory."""
        task = cls.start(recipe, progress)
        sizes = {
            "train, each epoch": len(task.batches(0)) * recipe.training.batch_size,
            **dict.fromkeys(HELD_OUT, recipe.data.held_out_size),
        }
        return {
            "splits": {split: {"sequences": size, "steps": task.problem.steps} for split, size in sizes.items()},
            "without memory": {split: rounded(scores) for split, scores in task.baselines().items()},
            "problems": [],
        }

    @classmethod
    def restore(cls, run: Run) -> Self:
        """The model of a run as its architecture, without weights and held-out sequences.

        Raises:
            RunError: missing, damaged, or of another task.
        """
        description, recipe = parse_recipe(run, MemoryRecipe)
        task = cls(recipe)
        refuse_other_architecture(run, description["architecture"], task.architecture)
        return task

    @property
    def architecture(self) -> Json:
        """What the model is built from."""
        data = self.recipe.data
        return {"problem": data.path, "length": data.length, **self.recipe.model.model_dump(mode="json")}

    def load_data(self, progress: Progress) -> None:  # noqa: ARG002
        """Draw what the model is judged by."""
        data = self.recipe.data
        problem = problem_of(data.path, data.length)  # of a recipe that --resume may have changed: its digests tell
        self.held_out = {
            split: problem.draw(data.held_out_size, 1, self.recipe.seed, part)[0] for split, part in HELD_OUT.items()
        }

    def describe(self) -> tuple[Json, Mapping[str, str]]:
        """What model.json says; nothing else belongs to the model."""
        return {"architecture": self.architecture}, {}

    def fingerprint(self) -> dict[str, str]:
        """Digest of the held-out sequences: another way to draw them would draw others to train on, too."""
        return {
            split: digest_of([examples.inputs.numpy()], examples.targets.numpy())
            for split, examples in self.held_out.items()
        }

    def batches(self, epoch: int) -> GeneratedBatches:
        """Sequences of the epoch's own."""
        batch_size = self.recipe.training.batch_size
        num_batches = -(-self.recipe.data.train_size // batch_size)
        return self.problem.draw(batch_size, num_batches, self.recipe.seed, len(HELD_OUT) + epoch)

    def loss(self, batch: ProblemBatch, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean squared error of the sum, or mean nats of the right answer of a step."""
        answers = self.answers(batch.inputs)
        mean = self.problem.loss(answers, batch.targets.to(answers.device))
        return StepLoss(mean, answers.shape[1], None)

    def answers(self, inputs: Tensor) -> Tensor:
        """What the network says of a batch as it is drawn, (answers, batch, outputs)."""
        read = self.problem.read(inputs.to(self.model.output.weight.device))
        answers: Tensor = self.model(read, min(self.problem.num_answers, len(read)))
        return answers

    @staticmethod
    def describe_loss(loss: float) -> str:
        """Squared error of a sum, or nats of a step."""
        return f"loss {loss:.5f}"

    def judge(self, inputs: Tensor, progress: Progress, title: str = "evaluating") -> Tensor:
        """What the network says of any number of sequences, on the CPU."""
        parts = inputs.split(JUDGED_AT_ONCE, 1)
        found = []
        with inference(self.model), progress.stage(title, len(parts)) as advance:
            for part in parts:
                found.append(self.answers(part).cpu())
                advance(1)
        return torch.cat(found, 1)

    def validate(self, progress: Progress) -> Metrics:
        """Loss, what it is judged by, and the share of sequences solved."""
        inputs, targets = self.held_out["valid"]
        answers = self.judge(inputs, progress, "validating")
        scores = self.problem.scores(answers, targets)
        return {
            "loss": float(self.problem.loss(answers, targets)),
            **{name: scores[name] for name in (self.primary_metric.name, "solved")},
        }

    def report(self, progress: Progress) -> Report:
        """The model, and what can be had without memory, on the held-out sequences."""
        metrics = {
            split: self.problem.scores(self.judge(inputs, progress, f"evaluating {split}"), targets)
            for split, (inputs, targets) in self.held_out.items()
        }
        return Report({"model": metrics, self.problem.baseline: self.baselines()}, {})

    def baselines(self) -> dict[str, Metrics]:
        """The best that can be had without memory, by split."""
        return {
            split: self.problem.scores(self.problem.answers_without_memory(targets), targets)
            for split, (_, targets) in self.held_out.items()
        }

    def samples(self) -> list[Json]:
        """The first validation sequences."""
        inputs = self.held_out["valid"].inputs
        return [{"sequence": inputs[:, index].tolist()} for index in range(min(NUM_SAMPLES, inputs.shape[1]))]

    def outputs_of(self, sample: Json) -> list[float]:
        """The sum, or logarithms of the probabilities of each answer."""
        return self.problem.outputs(self.judge(self.problem.parse(sample["sequence"]), Progress()))


def rounded(scores: Metrics) -> Metrics:
    """Scores with as many digits as one reads."""
    return {name: value if isinstance(value, int) else float(f"{value:.4g}") for name, value in scores.items()}
