"""Temperature, top-k and top-p against their definitions."""

import pytest
import torch

from recurra.decoding.sampling import filtered_probabilities
from recurra.errors import UsageError

PROBABILITIES = torch.tensor([0.1, 0.4, 0.05, 0.25, 0.2], dtype=torch.double)
LOGITS = PROBABILITIES.log() + 3.0


def expect(actual: torch.Tensor, *expected: float) -> None:
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.double))


def test_softmax_when_nothing_is_asked() -> None:
    expect(filtered_probabilities(LOGITS), *PROBABILITIES.tolist())


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_temperature_is_a_power(temperature: float) -> None:
    powers = PROBABILITIES ** (1 / temperature)
    expect(filtered_probabilities(LOGITS, temperature), *(powers / powers.sum()).tolist())


def test_temperature_zero_is_the_likeliest() -> None:
    expect(filtered_probabilities(LOGITS, 0.0), 0, 1, 0, 0, 0)


def test_top_k() -> None:
    expect(filtered_probabilities(LOGITS, top_k=2), 0, 0.4 / 0.65, 0, 0.25 / 0.65, 0)
    expect(filtered_probabilities(LOGITS, top_k=99), *PROBABILITIES.tolist())


def test_top_k_of_equals_is_k() -> None:
    assert int((filtered_probabilities(torch.zeros(7), top_k=3) > 0).sum()) == 3


@pytest.mark.parametrize(
    ("share", "kept"),
    [(0.01, [1]), (0.4, [1]), (0.41, [1, 3]), (0.66, [1, 3, 4]), (0.86, [0, 1, 3, 4]), (1.0, [0, 1, 2, 3, 4])],
)
def test_top_p_keeps_the_fewest_that_hold_the_share(share: float, kept: list[int]) -> None:
    expected = torch.zeros(5, dtype=torch.double)
    expected[kept] = PROBABILITIES[kept] / PROBABILITIES[kept].sum()
    expect(filtered_probabilities(LOGITS, top_p=share), *expected.tolist())


def test_top_p_comes_after_top_k() -> None:
    expect(filtered_probabilities(LOGITS, top_k=2, top_p=0.6), 0, 1, 0, 0, 0)  # 0.4 / 0.65 is more than 0.6


def test_batches_are_rows() -> None:
    both = filtered_probabilities(torch.stack([LOGITS, LOGITS.flip(0)]), 0.7, 3, 0.9)
    expect(both[0], *filtered_probabilities(LOGITS, 0.7, 3, 0.9).tolist())
    expect(both[1].flip(0), *both[0].tolist())


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_values_outside_their_range(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        filtered_probabilities(LOGITS, **wrong)
