"""Learning-rate schedules against their formulas, and after a restart."""

import json
import math
from typing import Any

import pytest
import torch
from torch import nn

from recurra.config import TrainingOptions
from recurra.errors import UsageError
from recurra.training.optimizers import build_optimizer
from recurra.training.schedules import Schedule, refuse_another_length

NUM_BATCHES = 3  # an epoch


def options(**values: Any) -> TrainingOptions:
    return TrainingOptions.parse(values, "test")


def start(given: TrainingOptions, total_steps: int | None = None) -> Schedule:
    """A schedule over an optimizer with one matrix and one bias, so that it has to set two groups."""
    return Schedule(build_optimizer(nn.Linear(3, 2).parameters(), given), given, total_steps)


def train(schedule: Schedule, steps: range, losses: list[float]) -> list[float]:
    """Take steps and return their learning rates; an epoch ends after each third step, with its validation loss."""
    rates = []
    for step in steps:
        schedule.before_step(step)
        first, second = (group["lr"] for group in schedule.optimizer.param_groups)
        assert first == second
        rates.append(first)
        schedule.optimizer.step()
        schedule.after_step(step)
        if (step + 1) % NUM_BATCHES == 0:
            schedule.after_epoch(losses[step // NUM_BATCHES])
    return rates


def epoch_rates(given: TrainingOptions, losses: list[float]) -> list[float]:
    """The learning rate of each epoch, and of the one after the last."""
    rates = train(start(given), range(NUM_BATCHES * len(losses) + 1), losses)
    for first in range(0, len(rates) - 1, NUM_BATCHES):
        assert len(set(rates[first : first + NUM_BATCHES])) == 1, "it changes between epochs only"
    return rates[::NUM_BATCHES]


def test_constant() -> None:
    assert epoch_rates(options(schedule="constant", learning_rate=0.3), [1.0, 2.0, 3.0]) == [0.3] * 4


@pytest.mark.parametrize("decay_after", [1, 2, 5])
@pytest.mark.parametrize(("rate", "decay"), [(8.0, 0.5), (0.003, 0.7), (20.0, 1 / 1.2)])
def test_step_is_exactly_a_power_of_the_decay(rate: float, decay: float, decay_after: int) -> None:
    given = options(schedule="step", learning_rate=rate, decay=decay, decay_after=decay_after)
    expected = [rate * decay ** max(0, epoch + 1 - decay_after) for epoch in range(10)]
    assert epoch_rates(given, [1.0] * 9) == expected


@pytest.mark.parametrize(
    ("losses", "reduced"),
    [
        ([3.0, 2.0, 1.0], [False, False, False]),
        ([3.0, 3.5, 3.2, 2.9], [False, True, True, False]),
        ([3.0, 3.0, 3.0], [False, True, True]),  # as low is not lower
        ([3.0, math.nan, 2.0], [False, True, False]),
        ([math.inf, 2.0, math.inf], [True, False, True]),
        ([-1.0, -2.0, -1.5, -2.0 - 1e-15], [False, False, True, False]),
    ],
)
@pytest.mark.parametrize(("rate", "decay"), [(8.0, 0.25), (0.003, 0.7)])
def test_plateau_reduces_after_each_epoch_without_a_lower_loss(
    rate: float, decay: float, losses: list[float], reduced: list[bool]
) -> None:
    expected = [rate]
    for is_reduced in reduced:
        expected.append(expected[-1] * decay if is_reduced else expected[-1])
    assert epoch_rates(options(schedule="plateau", learning_rate=rate, decay=decay), losses) == expected


@pytest.mark.parametrize("rate", [8.0, 1e-6])
def test_plateau_stops_at_a_thousandth_of_the_learning_rate(rate: float) -> None:
    given = options(schedule="plateau", learning_rate=rate, decay=0.25)
    assert epoch_rates(given, [1.0] * 8)[-4:] == [rate / 4**4, 1e-3 * rate, 1e-3 * rate, 1e-3 * rate]


@pytest.mark.parametrize("total", [1, 2, 40])
def test_cosine_falls_to_zero_over_the_training(total: int) -> None:
    rates = train(start(options(schedule="cosine", learning_rate=0.4), total), range(total), [1.0] * total)
    expected = [0.2 * (1 + math.cos(math.pi * step / total)) for step in range(total)]
    assert rates == pytest.approx(expected, rel=1e-12)


def test_one_cycle_rises_for_a_third_and_falls_for_the_rest() -> None:
    total, top = 40, 0.5
    rates = train(start(options(schedule="one-cycle", learning_rate=top), total), range(total), [1.0] * total)
    low, lowest, peak = top / 25, top / 25 / 1e4, 0.3 * total - 1

    def between(first: float, last: float, share: float) -> float:
        return last + (first - last) * (1 + math.cos(math.pi * share)) / 2

    expected = [
        between(low, top, step / peak) if step <= peak else between(top, lowest, (step - peak) / (total - 1 - peak))
        for step in range(total)
    ]
    assert rates == pytest.approx(expected, rel=1e-12)
    assert max(rates) == top
    assert rates.index(top) == 11


@pytest.mark.parametrize("total", range(1, 9))
def test_one_cycle_of_a_few_steps(total: int) -> None:
    rates = train(start(options(schedule="one-cycle", learning_rate=0.5), total), range(total), [1.0] * total)
    assert all(0 < rate <= 0.5 for rate in rates)
    assert rates[-1] == pytest.approx(0.5 / 25 / 1e4)


def test_one_cycle_leaves_the_momentum_alone() -> None:
    schedule = start(options(schedule="one-cycle", optimizer="sgd", momentum=0.6), 5)
    train(schedule, range(5), [1.0] * 5)
    assert schedule.optimizer.param_groups[0]["momentum"] == 0.6


@pytest.mark.parametrize("name", ["constant", "step", "plateau"])
def test_warmup_multiplies_the_rates_by_epoch(name: str) -> None:
    losses, steps = [3.0, 3.0, 2.0, 3.0, 1.0], range(15)
    given = {"schedule": name, "learning_rate": 0.3, "decay": 0.7}
    plain = train(start(options(**given)), steps, losses)
    warm = train(start(options(**given, warmup_steps=5)), steps, losses)
    assert warm == [rate * min(1.0, (step + 1) / 5) for step, rate in enumerate(plain)]
    assert warm[5:] == plain[5:]


@pytest.mark.parametrize("name", ["cosine", "one-cycle"])
def test_after_warmup_comes_the_whole_schedule_in_the_steps_left(name: str) -> None:
    given = {"schedule": name, "learning_rate": 0.3}
    warm = train(start(options(**given, warmup_steps=4), 24), range(24), [1.0] * 24)
    plain = train(start(options(**given), 20), range(20), [1.0] * 20)
    assert warm[4:] == plain
    assert warm[:4] == [plain[0] * share for share in (0.25, 0.5, 0.75, 1.0)]


@pytest.mark.parametrize("name", ["cosine", "one-cycle"])
def test_warmup_must_leave_steps(name: str) -> None:
    with pytest.raises(UsageError, match=rf"^warmup_steps: expected fewer than the 12 steps .* {name} .*got 12$"):
        start(options(schedule=name, warmup_steps=12), 12)
    assert start(options(schedule=name, warmup_steps=11), 12).num_steps == 1


@pytest.mark.parametrize("warmup_steps", [0, 5])
@pytest.mark.parametrize("name", ["constant", "step", "plateau", "cosine", "one-cycle"])
@pytest.mark.parametrize("stop", [0, 2, 3, 4, 6, 11])  # before the start, within and between epochs, in the warm-up
def test_restored_schedule_goes_on_exactly(name: str, warmup_steps: int, stop: int) -> None:
    given = options(schedule=name, learning_rate=0.3, decay=0.7, warmup_steps=warmup_steps)
    losses = [3.0, 3.0, 2.0, 2.5, 1.0]
    whole = train(start(given, 15), range(15), losses)
    schedule = start(given, 15)
    first = train(schedule, range(stop), losses)
    other = start(given, 15)
    other.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    assert first + train(other, range(stop, 15), losses) == whole


@pytest.mark.parametrize("name", ["constant", "step", "plateau", "cosine", "one-cycle"])
def test_restored_between_the_last_step_and_the_end_of_an_epoch(name: str) -> None:
    """Then the scheduler moves on before the optimizer of this session took a step; torch must not warn of it."""
    given = options(schedule=name, learning_rate=0.3)
    schedule, other = start(given, 6), start(given, 6)
    for step in range(3):
        schedule.before_step(step)
        schedule.optimizer.step()
        schedule.after_step(step)
    other.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    for one in (schedule, other):
        one.after_epoch(1.0)
    assert train(other, range(3, 6), [1.0, 1.0]) == train(schedule, range(3, 6), [1.0, 1.0])


@pytest.mark.parametrize(
    "optimizer", [{"optimizer": "adamw", "weight_decay": 0.5}, {"optimizer": "sgd", "momentum": 0.9}]
)
def test_restoring_changes_no_weight(optimizer: dict[str, Any]) -> None:
    given = options(schedule="cosine", **optimizer)
    model = nn.Linear(3, 2)
    before = [weight.detach().clone() for weight in model.parameters()]
    schedule = Schedule(build_optimizer(model.parameters(), given), given, 4)
    schedule.load_state_dict(schedule.state_dict())
    assert all(torch.equal(weight, old) for weight, old in zip(model.parameters(), before, strict=True))
    assert not schedule.optimizer.state_dict()["state"]


@pytest.mark.parametrize("name", ["cosine", "one-cycle"])
def test_length_of_a_schedule_by_step_stays(name: str) -> None:
    with pytest.raises(UsageError, match=rf"training\.epochs and training\.steps cannot change .*{name}"):
        refuse_another_length(options(schedule=name), {"training.epochs", "device", "training.steps"})
    refuse_another_length(options(schedule=name), {"training.time", "training.patience"})
    refuse_another_length(options(schedule="plateau"), {"training.epochs", "training.steps"})
