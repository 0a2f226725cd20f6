"""Dropout that holds for a whole sequence, and dropout of whole words."""

import pytest
import torch
from layer_table import BATCH, DOUBLE, INPUT, TIME, draw

from recurra.errors import ShapeError, UsageError
from recurra.nn import GRU, LSTM, LockedDropout, drop_words


def test_one_mask_for_all_steps_scaled() -> None:
    torch.manual_seed(0)
    dropped = LockedDropout(0.25)(torch.ones(TIME, 40, 500, dtype=DOUBLE))
    assert torch.equal(dropped, dropped[:1].expand(TIME, -1, -1))
    assert set(dropped.unique().tolist()) == {0.0, 1 / 0.75}
    # 20,000 draws: a standard error of 0.003.
    assert (dropped[0] == 0).double().mean().item() == pytest.approx(0.25, abs=0.015)
    assert not torch.equal(dropped[:, 0], dropped[:, 1])


def test_each_call_draws_anew() -> None:
    layer, x = LockedDropout(0.5), torch.ones(TIME, BATCH, 50)
    assert not torch.equal(layer(x), layer(x))


def test_gradient_passes_through_the_mask() -> None:
    x = draw(TIME, BATCH, INPUT, seed=1)
    dropped = LockedDropout(0.5)(x)
    gradient = draw(TIME, BATCH, INPUT, seed=2).detach()
    (slope,) = torch.autograd.grad(dropped, x, gradient)
    torch.testing.assert_close(slope, gradient * (dropped / x).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.6, False)])
def test_nothing_dropped(p: float, training: bool) -> None:
    layer = LockedDropout(p).train(training)
    x = torch.ones(TIME, BATCH, INPUT)
    assert layer(x) is x
    assert drop_words(x[0], p, training) is not None
    assert torch.equal(drop_words(x[0], p, training), x[0])


def test_everything_dropped() -> None:
    assert not LockedDropout(1.0)(torch.ones(TIME, BATCH, INPUT)).any()


def test_words_vanish_wherever_they_occur() -> None:
    torch.manual_seed(0)
    table = draw(4000, INPUT, seed=1)
    dropped = drop_words(table, 0.2, True)
    gone = (dropped == 0).all(1)
    assert torch.equal((dropped == 0).any(1), gone)
    torch.testing.assert_close(dropped[~gone], table[~gone] / 0.8, rtol=0, atol=1e-12)
    # 4,000 draws: a standard error of 0.006.
    assert gone.double().mean().item() == pytest.approx(0.2, abs=0.03)
    tokens = torch.tensor([[7, 3], [3, 7], [7, 7]])
    looked_up = torch.nn.functional.embedding(tokens, dropped)
    assert torch.equal(looked_up[0, 0], looked_up[2, 1])


def test_locked_between_layers_and_not_after_the_last() -> None:
    """With the layers above and below copied out, only one mask for all steps can explain the output."""
    torch.manual_seed(5)
    stack = LSTM(INPUT, (7, 2), dropout=0.5, locked_dropout=True, dtype=DOUBLE)
    state = stack.state_dict()
    below, above = LSTM(INPUT, 7, dtype=DOUBLE), LSTM(7, 2, dtype=DOUBLE)
    below.load_state_dict({name: value for name, value in state.items() if name.endswith("_l0")})
    above.load_state_dict({name[:-1] + "0": value for name, value in state.items() if name.endswith("_l1")})
    x = draw(TIME, BATCH, INPUT, seed=1)
    torch.manual_seed(9)
    output, _ = stack(x)
    torch.manual_seed(9)
    mask = torch.nn.functional.dropout(torch.ones(1, BATCH, 7, dtype=DOUBLE), 0.5)
    assert set(mask.unique().tolist()) == {0.0, 2.0}
    torch.testing.assert_close(output, above(below(x)[0] * mask)[0], rtol=0, atol=1e-13)
    stack.eval()
    torch.testing.assert_close(stack(x)[0], above(below(x)[0])[0], rtol=0, atol=1e-13)


def test_locked_and_plain_masks_differ() -> None:
    torch.manual_seed(5)
    locked = GRU(INPUT, 6, 2, dropout=0.5, locked_dropout=True, dtype=DOUBLE)
    plain = GRU(INPUT, 6, 2, dropout=0.5, dtype=DOUBLE)
    plain.load_state_dict(locked.state_dict())
    x = draw(TIME, BATCH, INPUT, seed=1)
    assert not torch.equal(locked(x)[0], plain(x)[0])


def test_wrong_arguments() -> None:
    with pytest.raises(UsageError, match=r"probability in 0\.\.1, got 1\.5"):
        LockedDropout(1.5)
    with pytest.raises(UsageError, match=r"probability in 0\.\.1, got -0\.1"):
        drop_words(torch.ones(3, 2), -0.1, True)
    with pytest.raises(ShapeError, match=r"expected \(time, batch, features\), got \(3, 2\)"):
        LockedDropout()(torch.ones(3, 2))
    assert repr(LockedDropout(0.3)) == "LockedDropout(p=0.3)"
