"""The training loop, the same for every task: steps, validation, choice of the best epoch, checkpoints."""

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
from recurra.tasks.task import Scores, Task, describe_loss
from recurra.training.checkpoint import pack, unpack
from recurra.training.interruption import Interruption
from recurra.training.optimizers import build_optimizer, clip_gradients, ema_weights, update_ema
from recurra.training.schedules import PER_STEP, Schedule

SMOOTHING = 0.98  # weight of the earlier losses in the loss that the progress bar shows
DIVERGENCE = 100  # a loss this many times the first one counts as diverged: no training recovers from it


@dataclass
class EpochTotals:
    """Sums over the steps of the current epoch."""

    loss: float = 0.0  # summed over items
    num_items: int = 0
    num_steps: int = 0
    gradient_norm: float = 0.0  # summed over steps
    seconds: float = 0.0
    smoothed_loss: float = 0.0  # moving average per item, for the progress bar

    def add(self, loss: float, num_items: int, gradient_norm: float, seconds: float) -> None:
        """Add a step: `loss` is its mean over `num_items` items."""
        self.loss += loss * num_items
        self.num_items += num_items
        self.num_steps += 1
        self.gradient_norm += gradient_norm
        self.seconds += seconds
        weight = min(SMOOTHING, 1 - 1 / self.num_steps)
        self.smoothed_loss = weight * self.smoothed_loss + (1 - weight) * loss


@dataclass
class Position:
    """Where a run stands: counters, best epoch and history. Goes into the checkpoint as plain values."""

    learning_rate: float  # of the last step
    epoch: int = 0  # the current one, counted from 0
    batch: int = 0  # the next one of the current epoch, counted from 0
    step: int = 0  # steps taken since the start of training
    seconds: float = 0.0  # spent on steps and validation, over all sessions
    best_value: float | None = None  # selection metric of the best epoch
    best_epoch: int = 0  # counted from 1; 0 before the first epoch was validated
    first_loss: float | None = None  # loss of the first step
    totals: EpochTotals = field(default_factory=EpochTotals)
    history: list[Json] = field(default_factory=list)  # one row per validated epoch

    def reached_limit(self, options: TrainingOptions) -> str | None:
        """The option that ends the training here: epochs, steps, time or patience; None to go on."""
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
        """The position that `dataclasses.asdict` turned into plain values."""
        return cls(**{**values, "totals": EpochTotals(**values["totals"])})


class Training:
    """The training of one run.

    Args:
        task: the task, with its data loaded.
        run: folder for checkpoints, weights and history.
        progress: shows each step and epoch.

    Raises:
        UsageError: `warmup_steps` leaves no step for a `cosine` or `one-cycle` schedule.
    """

    def __init__(self, task: Task, run: Run, progress: Progress) -> None:
        self.task, self.run, self.progress = task, run, progress
        self.options = task.recipe.training
        self.device = torch.device(task.recipe.device)
        self.parameters = list(task.model.to(self.device).train().parameters())
        self.optimizer = build_optimizer(self.parameters, self.options)
        self.schedule = Schedule(self.optimizer, self.options, self.total_steps())
        self.position = Position(self.options.learning_rate)
        self.state: Any = None  # of the recurrent layers, carried from batch to batch
        self.saved_at = time.monotonic()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore everything from a checkpoint of this run."""
        self.state = unpack(checkpoint, self.task.model, self.optimizer, self.device)
        self.position = Position.parse(checkpoint.values["position"])
        self.schedule.load_state_dict(checkpoint.values["schedule"])
        if self.run.path(BEST).exists():
            self.run.read_tensors(BEST)  # a damaged file is an error here; it must not replace intact weights
            self.run.path(BEST).replace(self.run.path(WEIGHTS))

    def total_steps(self) -> int | None:
        """Steps from the first to the last by `epochs` and `steps`, for a schedule that depends on it; else None."""
        if self.options.schedule not in PER_STEP:
            return None
        num_batches = len(self.task.batches(0))  # the same in every epoch
        total: int = min(self.options.epochs * num_batches, self.options.steps or sys.maxsize)
        return total

    def fit(self) -> bool:
        """Train until a limit of the recipe or Ctrl-C; returns True if it was a limit.

        Raises:
            DivergedError: a loss or a gradient is not finite, or the loss is far above the first one.
            SaveError: a checkpoint cannot be written.
        """
        position, num_batches = self.position, len(self.task.batches(self.position.epoch))
        if self.options.time is not None:
            total, done = self.options.time, position.seconds
        else:
            total, done = min(self.options.epochs * num_batches, self.options.steps or sys.maxsize), position.step
        with Interruption() as interruption, self.progress.stage("training", total, done) as advance:
            while position.reached_limit(self.options) is None:
                self.train_epoch(interruption, advance)
                if position.batch == num_batches:
                    self.end_epoch()
                elif interruption.requested:
                    self.save()
                    return False
        if position.batch:
            # `steps` or `time` ended within an epoch. The checkpoint comes first, validation after it: a run resumed
            # with a larger budget must go on as if this validation had never happened.
            self.progress.note(f"the budget is spent after step {position.step:,}, within epoch {position.epoch + 1}")
            self.save()
            if position.best_value is not None:
                self.run.copy(WEIGHTS, BEST)  # `restore` puts them back
            self.validate()
            self.run.write(HISTORY, position.history)
        return True

    def train_epoch(self, interruption: Interruption, advance: Advance) -> None:
        """Take the remaining steps of the epoch, or those until Ctrl-C or the end of `steps` or `time`."""
        position = self.position
        batches = self.task.batches(position.epoch)
        while position.batch < len(batches) and not interruption.requested and not self.is_budget_spent():
            started = time.monotonic()
            position.learning_rate = self.schedule.before_step(position.step)
            loss, num_items, norm = self.take_step(batches[position.batch])
            self.schedule.after_step(position.step)
            seconds = time.monotonic() - started
            position.batch += 1
            position.step += 1
            position.seconds += seconds
            position.totals.add(loss, num_items, norm, seconds)
            advance(1 if self.options.time is None else seconds, self.describe_step(norm))
            if time.monotonic() - self.saved_at > self.options.checkpoint_every:
                self.save()

    def take_step(self, batch: Any) -> tuple[float, int, float]:
        """Take one optimizer step; returns the mean loss, the number of items in it, and the norm of the gradient.

        Raises:
            DivergedError: the loss or the gradient is not finite, or the loss is far above the first one. The weights
                are still those before the step.
        """
        self.optimizer.zero_grad()
        mean, num_items, state = self.task.loss(batch, self.state)
        loss = float(mean.detach())
        self.check_loss(loss)
        mean.backward()
        norm = clip_gradients(self.parameters, self.options)
        if not math.isfinite(norm):
            raise self.divergence_error(f"the norm of the gradient is {norm}")
        self.optimizer.step()
        if self.options.ema_decay:
            update_ema(self.optimizer, self.options.ema_decay, self.position.step + 1)
        self.state = state
        return loss, num_items, norm

    def check_loss(self, loss: float) -> None:
        """Raise DivergedError before a loss that is not finite, or far above the first one, reaches the weights."""
        if not math.isfinite(loss):
            raise self.divergence_error(f"the loss is {loss}")
        if self.position.first_loss is None:
            self.position.first_loss = loss
        first = self.position.first_loss
        if loss - first > DIVERGENCE * max(abs(first), 1):
            raise self.divergence_error(f"the loss is {loss:.3g}, where the first was {first:.3g}")

    def divergence_error(self, what: str) -> DivergedError:
        """The error to raise: where it happened, which weights are kept, what to do."""
        position = self.position
        best = position.best_epoch
        kept = f"the weights of epoch {best} are kept in {self.run}" if best else "no epoch was completed before it"
        return DivergedError(
            f"step {position.step + 1} (epoch {position.epoch + 1}, batch {position.batch + 1}): {what}; {kept}. "
            "Start a new run with a lower learning_rate or clip_norm"
        )

    def end_epoch(self) -> None:
        """Validate, update the schedule, save a checkpoint."""
        position = self.position
        self.validate()
        # The schedule follows the loss and not the selection metric: an accuracy stands still over small improvements.
        self.schedule.after_epoch(position.history[-1]["valid_loss"])
        position.epoch += 1
        position.batch, position.totals, self.state = 0, EpochTotals(), None
        self.save()

    def validate(self) -> None:
        """Compute the validation metrics, add a row to the history, write the weights if they are the best so far."""
        position, totals = self.position, self.position.totals
        started = time.monotonic()
        with ema_weights(self.optimizer):
            metrics = self.task.validate(self.progress)
            position.seconds += time.monotonic() - started
            is_best = self.is_best(metrics)
            if is_best:
                position.best_value, position.best_epoch = metrics[self.task.selection_metric.name], position.epoch + 1
                self.save_weights()
        row = {
            "epoch": position.epoch + 1,
            "step": position.step,
            "learning_rate": position.learning_rate,
            "train_loss": totals.loss / max(totals.num_items, 1),
            **{f"valid_{name}": value for name, value in metrics.items()},
            "gradient_norm": totals.gradient_norm / max(totals.num_steps, 1),
            "items_per_second": totals.num_items / max(totals.seconds, 1e-9),
            "seconds": position.seconds,
        }
        position.history.append(row)
        self.progress.note(self.describe_epoch(row, is_best))

    def is_best(self, metrics: Scores) -> bool:
        """Whether an epoch is better than all before it by the selection metric; the lower loss breaks ties."""
        position, metric = self.position, self.task.selection_metric
        value = metrics[metric.name]
        if position.best_value is None:
            return math.isfinite(value)
        if value == position.best_value:
            return metrics["loss"] < float(position.history[position.best_epoch - 1]["valid_loss"])
        return metric.better(value, position.best_value)

    def is_budget_spent(self) -> bool:
        """Whether `steps` or `time` ends the training here, within an epoch or at its end."""
        return self.position.reached_limit(self.options) in ("steps", "time")

    def save_weights(self) -> None:
        """Write the current weights as those that the run is used with."""
        values = {"epoch": self.position.epoch + 1, "step": self.position.step}
        self.run.write_tensors(WEIGHTS, Checkpoint(self.task.model.state_dict(), values))

    def save(self) -> None:
        """Write the checkpoint that `restore` reads, and the history.

        Until an epoch was validated, the current weights are also written as those that the run is used with.
        """
        if self.position.best_value is None or not self.run.path(WEIGHTS).exists():
            with ema_weights(self.optimizer):
                self.save_weights()
        tensors, values = pack(self.task.model, self.optimizer, self.state)
        values["position"] = asdict(self.position)
        values["schedule"] = self.schedule.state_dict()
        values["recipe"] = dump(self.task.recipe)
        self.run.write_tensors(CHECKPOINT, Checkpoint(tensors, values))
        self.run.write(HISTORY, self.position.history)
        self.saved_at = time.monotonic()

    def describe_step(self, gradient_norm: float) -> str:
        """The text beside the progress bar after a step."""
        totals = self.position.totals
        speed = f"{totals.num_items / max(totals.seconds, 1e-9):,.0f} {self.task.item}s/s"
        epoch = f"epoch {self.position.epoch + 1}/{self.options.epochs}"
        return f"{epoch}  {describe_loss(self.task, totals.smoothed_loss)}  {speed}  gradient {gradient_norm:.3g}"

    def describe_epoch(self, row: Json, is_best: bool) -> str:
        """The line printed after an epoch; a star marks the best epoch so far."""
        valid = {name.removeprefix("valid_"): value for name, value in row.items() if name.startswith("valid_")}
        loss = valid.pop("loss")
        others = "".join(f"  {name} {value:.4g}" for name, value in valid.items())
        return (
            f"epoch {row['epoch']:>2}/{self.options.epochs}  train {row['train_loss']:.3f}  "
            f"valid {loss:.3f}{others}  rate {row['learning_rate']:.3g}  {in_words(row['seconds'])}"
            f"{'  *' if is_best else ''}"
        )
