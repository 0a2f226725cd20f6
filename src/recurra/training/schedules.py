"""Learning-rate schedules: torch's schedulers, behind an optional linear warm-up."""

from collections.abc import Collection
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from recurra.config import TrainingOptions
from recurra.errors import UsageError
from recurra.training.optimizers import set_learning_rate

PLATEAU_FLOOR = 1e-3  # share of the learning rate below which `plateau` does not go: the model would stop learning
PER_STEP = ("cosine", "one-cycle")  # these change after each step and end with the training; the others change by epoch


class Schedule:
    """Sets the learning rate of each step.

    In the first `warmup_steps` steps the learning rate of the scheduler is multiplied by (step + 1) / warmup_steps,
    with steps counted from 0. This is done here and not by torch's LinearLR because that one multiplies the rate in
    place: rounding would stay behind, and LambdaLR and ReduceLROnPlateau would overwrite or reduce a rate that is still
    warming up. `step` and `plateau` count epochs from the start of training, warm-up included; `cosine` and `one-cycle`
    start after the warm-up and take all steps that are left.

    Args:
        optimizer: whose learning rate is set, the same for all its parameters.
        options: the `[training]` section.
        total_steps: length of the whole training; `cosine` and `one-cycle` need it, the others ignore it.

    Raises:
        UsageError: the warm-up leaves no step for `cosine` or `one-cycle`.
    """

    def __init__(self, optimizer: Optimizer, options: TrainingOptions, total_steps: int | None = None) -> None:
        self.optimizer, self.name, self.warmup_steps = optimizer, options.schedule, options.warmup_steps
        self.num_steps = 0  # that the scheduler spreads over, after the warm-up
        if self.name in PER_STEP:
            if total_steps is None:
                raise ValueError(f"schedule {self.name}: needs the total number of steps")
            self.num_steps = total_steps - self.warmup_steps
            if self.num_steps < 1:
                raise UsageError(
                    f"warmup_steps: expected fewer than the {total_steps:,} steps of the whole training, since "
                    f"{self.name} starts after the warm-up; got {self.warmup_steps:,}"
                )
        self.scheduler = build_scheduler(optimizer, options, self.num_steps)

    def before_step(self, step: int) -> float:
        """Set the learning rate of a step, counted from 0 since the start of training, and return it."""
        rate = self.rate_after_warmup()
        if step < self.warmup_steps:
            rate *= (step + 1) / self.warmup_steps
        set_learning_rate(self.optimizer, rate)
        return rate

    def after_step(self, step: int) -> None:
        """Move on after the optimizer took a step, counted from 0."""
        taken = step + 1 - self.warmup_steps  # of the scheduler's own
        if self.name in PER_STEP and 0 < taken < self.num_steps:
            self.scheduler.step()

    def after_epoch(self, valid_loss: float) -> None:
        """Move on after an epoch; `plateau` reduces the rate if the validation loss is not the lowest so far."""
        set_learning_rate(self.optimizer, self.rate_after_warmup())  # ReduceLROnPlateau multiplies what it finds there
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(valid_loss)
        elif self.name not in PER_STEP:
            self.scheduler.step()

    def rate_after_warmup(self) -> float:
        """The scheduler's learning rate, without the factor of the warm-up."""
        return float(self.scheduler.get_last_lr()[0])

    def state_dict(self) -> dict[str, Any]:
        """The scheduler's state, for the checkpoint: plain values."""
        return self.scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned."""
        self.scheduler.load_state_dict(state)
        # Without gradients this changes nothing. It tells torch that the steps before `scheduler.step()` were taken, in
        # the session before: it would warn if a checkpoint stands between the last step and the end of an epoch.
        self.optimizer.zero_grad()
        self.optimizer.step()


def build_scheduler(optimizer: Optimizer, options: TrainingOptions, num_steps: int) -> LRScheduler:
    """The torch scheduler of a recipe.

    Args:
        optimizer: whose learning rate it sets, already at the rate of the first step.
        options: the `[training]` section.
        num_steps: steps from the first to the last for `cosine` and `one-cycle`.
    """
    rate = options.learning_rate
    match options.schedule:
        case "step":
            return LambdaLR(optimizer, lambda epoch: options.decay ** max(0, epoch + 1 - options.decay_after))
        case "plateau":
            return ReduceLROnPlateau(
                optimizer, factor=options.decay, patience=0, threshold=0, min_lr=PLATEAU_FLOOR * rate, eps=0
            )
        case "cosine":
            return CosineAnnealingLR(optimizer, num_steps)
        case "one-cycle":
            return OneCycleLR(optimizer, rate, num_steps, cycle_momentum=False)
        case _:
            return LambdaLR(optimizer, lambda epoch: 1.0)  # noqa: ARG005


def refuse_another_length(options: TrainingOptions, changed: Collection[str]) -> None:
    """Refuse to resume with another number of steps where the learning rates so far depended on it.

    Args:
        options: the `[training]` section to go on with.
        changed: dotted keys that differ from the recipe of the checkpoint.

    Raises:
        UsageError: epochs or steps changed, and the schedule is `cosine` or `one-cycle`.
    """
    keys = [key for key in ("training.epochs", "training.steps") if key in changed]
    if keys and options.schedule in PER_STEP:
        raise UsageError(
            f"{' and '.join(keys)} cannot change on resuming with schedule = {options.schedule!r}: the learning rates "
            "of the steps taken so far were those of a training of the earlier length; train a new run instead"
        )
