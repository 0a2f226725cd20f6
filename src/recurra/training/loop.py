"""The training loop: batches, gradients, validation, checkpoints; what is learned is the task's business."""

import math
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from recurra.config import TrainingOptions, dump
from recurra.errors import DivergedError
from recurra.progress import Advance, Progress, in_words
from recurra.runs import BEST, CHECKPOINT, HISTORY, WEIGHTS, Checkpoint, Json, Run
from recurra.tasks import Metrics, Task
from recurra.training.checkpoint import pack, unpack
from recurra.training.interruption import Interruption
from recurra.training.optimizers import (
    average_weights,
    averaged,
    build_optimizer,
    clip_gradients,
    next_learning_rate,
    set_learning_rate,
)

SMOOTHING = 0.98  # of the loss shown while an epoch runs
ABSURD = 100  # times the first loss, from where no training comes back


@dataclass
class Sums:
    """What the epoch under way has added up."""

    loss: float = 0.0  # over all items
    num_items: int = 0
    num_steps: int = 0
    gradient_norm: float = 0.0  # over all steps
    seconds: float = 0.0
    shown: float = 0.0  # smoothed loss for the display

    def add(self, loss: float, num_items: int, gradient_norm: float, seconds: float) -> None:
        """Count one step of mean loss `loss`."""
        self.loss += loss * num_items
        self.num_items += num_items
        self.num_steps += 1
        self.gradient_norm += gradient_norm
        self.seconds += seconds
        weight = min(SMOOTHING, 1 - 1 / self.num_steps)
        self.shown = weight * self.shown + (1 - weight) * loss


@dataclass
class Position:
    """How far a run is: all of it that is not a tensor."""

    learning_rate: float
    epoch: int = 0  # the one under way, counted from 0
    batch: int = 0  # the next one of this epoch
    step: int = 0  # updates since the beginning
    seconds: float = 0.0  # spent on steps and validation, over all sessions
    best: float | None = None  # criterion of the best epoch
    best_epoch: int = 0
    first_loss: float | None = None  # of the first step
    sums: Sums = field(default_factory=Sums)
    history: list[Json] = field(default_factory=list)

    def limit(self, options: TrainingOptions) -> str | None:
        """Which option says that it goes no further: epochs, steps, time or patience; None if none does."""
        out_of_patience = options.patience is not None and self.epoch - self.best_epoch >= options.patience
        limits = {
            "epochs": self.epoch >= options.epochs,
            "steps": options.steps is not None and self.step >= options.steps,
            "time": options.time is not None and self.seconds >= options.time,
            "patience": out_of_patience,
        }
        return next((name for name, reached in limits.items() if reached), None)

    @classmethod
    def parse(cls, values: Json) -> "Position":
        """The position that `asdict` made plain."""
        return cls(**{**values, "sums": Sums(**values["sums"])})


class Training:
    """A run under way.

    Args:
        task: with its data loaded.
        run: where checkpoints go.
        progress: told each step and epoch.
    """

    def __init__(self, task: Task, run: Run, progress: Progress) -> None:
        self.task, self.run, self.progress = task, run, progress
        self.options = task.recipe.training
        self.device = torch.device(task.recipe.device)
        self.parameters = list(task.model.to(self.device).train().parameters())
        self.optimizer = build_optimizer(self.parameters, self.options)
        self.position = Position(next_learning_rate(self.options, self.options.learning_rate, 0, improved=True))
        self.state: Any = None  # of the recurrent layers, from batch to batch
        self.saved_at = time.monotonic()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where a checkpoint of this run stands."""
        self.state, position = unpack(checkpoint, self.task.model, self.optimizer, self.device)
        self.position = Position.parse(position)
        if self.run.path(BEST).exists():
            self.run.read_tensors(BEST)  # damaged it must not take the place of what is whole
            self.run.path(BEST).replace(self.run.path(WEIGHTS))

    def fit(self) -> bool:
        """Train to the end of the recipe or to Ctrl-C; returns whether it came to the end.

        Raises:
            DivergedError: a loss or a gradient is not finite, or absurd.
            SaveError: a checkpoint cannot be written.
        """
        position, num_batches = self.position, len(self.task.batches(self.position.epoch))
        if self.options.time is not None:
            total, done = self.options.time, position.seconds
        else:
            total, done = min(self.options.epochs * num_batches, self.options.steps or sys.maxsize), position.step
        with Interruption() as interruption, self.progress.stage("training", total, done) as advance:
            while position.limit(self.options) is None:
                self.run_epoch(interruption, advance)
                if position.batch == num_batches:
                    self.end_epoch()
                elif interruption.requested:
                    self.save()
                    return False
        if position.batch:
            # The budget ended within an epoch: saved first, so that a larger budget goes on exactly, and then judged.
            self.progress.note(f"the budget is spent after step {position.step:,}, within epoch {position.epoch + 1}")
            self.save()
            if position.best is not None:
                self.run.copy(WEIGHTS, BEST)  # to go on with, as if nobody had judged in between
            self.judge()
            self.run.write(HISTORY, position.history)
        return True

    def run_epoch(self, interruption: Interruption, advance: Advance) -> None:
        """Take the steps that are left of the epoch, up to Ctrl-C or the end of the budget."""
        position = self.position
        set_learning_rate(self.optimizer, position.learning_rate)
        batches = self.task.batches(position.epoch)
        while position.batch < len(batches) and not interruption.requested and not self.is_spent():
            started = time.monotonic()
            loss, num_items, norm = self.take_step(batches[position.batch])
            seconds = time.monotonic() - started
            position.batch += 1
            position.step += 1
            position.seconds += seconds
            position.sums.add(loss, num_items, norm, seconds)
            advance(1 if self.options.time is None else seconds, self.describe_step(norm))
            if time.monotonic() - self.saved_at > self.options.checkpoint_every:
                self.save()

    def take_step(self, batch: Any) -> tuple[float, int, float]:
        """One update; returns the loss, the predictions it is over, and the norm of the gradient.

        Raises:
            DivergedError: the loss or the gradient is not finite, or the loss absurd; the weights are those before the
                step.
        """
        self.optimizer.zero_grad()
        mean, num_items, state = self.task.loss(batch, self.state)
        loss = float(mean.detach())
        self.check_loss(loss)
        mean.backward()
        norm = clip_gradients(self.parameters, self.options)
        if not math.isfinite(norm):
            raise self.diverged(f"the norm of the gradient is {norm}")
        self.optimizer.step()
        if self.options.ema_decay:
            average_weights(self.optimizer, self.options.ema_decay, self.position.step + 1)
        self.state = state
        return loss, num_items, norm

    def check_loss(self, loss: float) -> None:
        """Stop before a loss that is not finite reaches the weights, or where it has left all bounds."""
        if not math.isfinite(loss):
            raise self.diverged(f"the loss is {loss}")
        if self.position.first_loss is None:
            self.position.first_loss = loss
        first = self.position.first_loss
        if loss - first > ABSURD * max(abs(first), 1):
            raise self.diverged(f"the loss is {loss:.3g}, where the first was {first:.3g}")

    def diverged(self, what: str) -> DivergedError:
        """The error that says where, what is kept and what to do."""
        position = self.position
        best = position.best_epoch
        kept = f"the weights of epoch {best} are kept in {self.run}" if best else "no epoch was completed before it"
        return DivergedError(
            f"step {position.step + 1} (epoch {position.epoch + 1}, batch {position.batch + 1}): {what}; {kept}. "
            "Start a new run with a lower learning_rate or clip_norm"
        )

    def end_epoch(self) -> None:
        """Judge the epoch, decide how to go on, save."""
        position = self.position
        lowest = min((row["valid_loss"] for row in position.history), default=math.inf)
        self.judge()
        improved = position.history[-1]["valid_loss"] < lowest  # unlike an accuracy, a loss tells small steps
        position.epoch += 1
        position.learning_rate = next_learning_rate(self.options, position.learning_rate, position.epoch, improved)
        position.batch, position.sums, self.state = 0, Sums(), None
        self.save()

    def judge(self) -> None:
        """Validate, add to the history, keep the weights if they are the best so far."""
        position, sums = self.position, self.position.sums
        started = time.monotonic()
        with averaged(self.optimizer):
            metrics = self.task.validate(self.progress)
            position.seconds += time.monotonic() - started
            is_best = self.is_best(metrics)
            if is_best:
                position.best, position.best_epoch = metrics[self.task.selection_metric.name], position.epoch + 1
                self.save_weights()
        row = {
            "epoch": position.epoch + 1,
            "step": position.step,
            "learning_rate": position.learning_rate,
            "train_loss": sums.loss / max(sums.num_items, 1),
            **{f"valid_{name}": value for name, value in metrics.items()},
            "gradient_norm": sums.gradient_norm / max(sums.num_steps, 1),
            "items_per_second": sums.num_items / max(sums.seconds, 1e-9),
            "seconds": position.seconds,
        }
        position.history.append(row)
        self.progress.note(self.describe_epoch(row, is_best))

    def is_best(self, metrics: Metrics) -> bool:
        """Whether an epoch is better than all before it; of equal ones that of the lower loss is."""
        position, metric = self.position, self.task.selection_metric
        found = metrics[metric.name]
        if position.best is None:
            return math.isfinite(found)
        if found == position.best:
            return metrics["loss"] < float(position.history[position.best_epoch - 1]["valid_loss"])
        return metric.better(found, position.best)

    def is_spent(self) -> bool:
        """Whether the budget of time or of steps is spent."""
        return self.position.limit(self.options) in ("steps", "time")

    def save_weights(self) -> None:
        """Make the weights those of the run."""
        values = {"epoch": self.position.epoch + 1, "step": self.position.step}
        self.run.write_tensors(WEIGHTS, Checkpoint(self.task.model.state_dict(), values))

    def save(self) -> None:
        """Write the checkpoint that `restore` reads, and the history."""
        if self.position.best is None or not self.run.path(WEIGHTS).exists():
            with averaged(self.optimizer):
                self.save_weights()
        tensors, values = pack(self.task.model, self.optimizer, self.state, asdict(self.position))
        values["recipe"] = dump(self.task.recipe)
        self.run.write_tensors(CHECKPOINT, Checkpoint(tensors, values))
        self.run.write(HISTORY, self.position.history)
        self.saved_at = time.monotonic()

    def describe_step(self, gradient_norm: float) -> str:
        """What the display says after a step."""
        sums = self.position.sums
        speed = f"{sums.num_items / max(sums.seconds, 1e-9):,.0f} {self.task.item}s/s"
        epoch = f"epoch {self.position.epoch + 1}/{self.options.epochs}"
        return f"{epoch}  {self.task.describe_loss(sums.shown)}  {speed}  gradient {gradient_norm:.3g}"

    def describe_epoch(self, row: Json, is_best: bool) -> str:
        """The line an epoch leaves behind; a star marks the best so far."""
        valid = {name.removeprefix("valid_"): value for name, value in row.items() if name.startswith("valid_")}
        loss = valid.pop("loss")
        others = "".join(f"  {name} {value:.4g}" for name, value in valid.items())
        return (
            f"epoch {row['epoch']:>2}/{self.options.epochs}  train {row['train_loss']:.3f}  "
            f"valid {loss:.3f}{others}  rate {row['learning_rate']:.3g}  {in_words(row['seconds'])}"
            f"{'  *' if is_best else ''}"
        )
