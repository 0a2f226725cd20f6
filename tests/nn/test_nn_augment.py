"""Series and images bent at random: how far, how smoothly, each its own way, and never beyond what is valid."""

import torch
from torch import Tensor

from recurra.nn.augment import KNOTS, KNOTS_ACROSS, warp_images, warp_series

MOST = 3.0
TIME, BATCH = 120, 90  # long enough for such a warp


def ramps(lengths: Tensor) -> Tensor:
    """Two channels that tell the step, (time, batch, 2); NaN behind the end."""
    steps = torch.arange(float(TIME)).view(-1, 1, 1)
    return torch.where(steps < lengths.view(1, -1, 1), torch.cat([steps, 7 - steps], 2), torch.nan)


def coordinates(batch: int, height: int, width: int) -> Tensor:
    """Two channels that tell column and row of each pixel, (batch, 2, height, width)."""
    rows, columns = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return torch.stack([columns, rows]).expand(batch, -1, -1, -1)


def test_series_move_by_no_more_than_they_may_and_smoothly() -> None:
    torch.manual_seed(3)
    series = ramps(torch.full((BATCH,), TIME))
    found = warp_series(series, torch.full((BATCH,), TIME), MOST)
    torch.testing.assert_close(found[:, :, 1], 7 - found[:, :, 0])  # the channels of a step stay together
    moved = (found - series)[4:-4, :, 0]  # away from the ends, which hold what would leave
    assert 0.95 * MOST < moved.abs().max() <= MOST + 1e-4
    assert abs(float(moved.mean())) < 4 * MOST / (BATCH * KNOTS) ** 0.5
    assert moved.diff(dim=0).abs().max() <= 2 * MOST * (KNOTS - 1) / (TIME - 1) + 1e-4
    assert moved.diff(dim=0).abs().mean() > 0.1 * MOST * (KNOTS - 1) / (TIME - 1)
    assert moved.diff(dim=1).abs().amax(0).min() > 0  # no two series alike


def test_series_stay_within_their_steps() -> None:
    torch.manual_seed(4)
    lengths = torch.arange(BATCH)
    series = ramps(lengths)
    found = warp_series(series, lengths, 25.0)
    valid = torch.arange(TIME).unsqueeze(1) < lengths
    told = found[:, :, 0][valid]
    assert torch.isfinite(told).all()
    assert (told >= 0).all()
    assert (told <= (lengths - 1).expand(TIME, -1)[valid]).all()
    assert found[~valid].isnan().all()
    early = found[:, 20:, 0].gather(0, (lengths[20:] - 2).unsqueeze(0))[0]  # the last value is read before its time
    assert (early == lengths[20:] - 1).any()


def test_padding_never_matters() -> None:
    lengths = torch.tensor([30, 7, 21])
    alone, beside = torch.randn(30, 3, 2), torch.full((90, 3, 2), torch.nan)
    beside[:30] = alone
    torch.manual_seed(8)
    expected = warp_series(alone, lengths, 2.0)
    torch.manual_seed(8)
    torch.testing.assert_close(warp_series(beside, lengths, 2.0)[:30], expected)
    assert (expected - alone).abs().max() > 0.1


def test_time_never_runs_back() -> None:
    torch.manual_seed(9)
    found = warp_series(ramps(torch.full((BATCH,), TIME)), torch.full((BATCH,), TIME), 1000.0)[:, :, 0]
    assert found.diff(dim=0).min() >= 0
    assert (found - torch.arange(TIME).unsqueeze(1)).abs().max() > 0.8 * (TIME - 1) / (2 * (KNOTS - 1))


def moves_of(images: Tensor, most: float) -> Tensor:
    """By how many pixels each point was moved, (batch, x and y, height, width), but near the edges."""
    return (warp_images(images, most) - images)[:, :, 5:-5, 5:-5]


def test_images_move_by_about_no_more_than_they_may_and_smoothly() -> None:
    torch.manual_seed(5)
    moved = moves_of(coordinates(40, 30, 90), MOST)
    assert 0.8 * MOST < moved.abs().max() < 1.5 * MOST
    for axis in range(2):  # as far along the long side as along the short one
        assert abs(float(moved[:, axis].mean())) < 0.1 * MOST
        assert 0.3 * MOST < float(moved[:, axis].std()) < 0.6 * MOST
    assert moved.diff(dim=0).abs().amax((1, 2, 3)).min() > 0  # no two images alike
    assert (moved[:, 0] - moved[:, 1]).abs().max() > MOST  # nor both axes


def test_neighbors_in_an_image_move_alike_along_both_sides() -> None:
    torch.manual_seed(5)
    moved = moves_of(coordinates(40, 30, 90), 1.0)
    steepest = 2 * (KNOTS_ACROSS - 1) / 30
    down, across = (moved.diff(dim=axis).abs() for axis in (2, 3))
    assert max(down.max(), across.max()) < 2 * steepest  # no pixel is skipped, none is read twice
    assert 0.1 * steepest < down.mean() < 1.3 * across.mean() < 1.7 * down.mean()


def test_images_go_on_beyond_their_edges() -> None:
    torch.manual_seed(6)
    images = coordinates(30, 12, 9)
    found = warp_images(images, 4.0)
    corners = found[:, :, ::11, ::8]
    assert found.min() >= 0
    assert (found.amax((0, 2, 3)) == torch.tensor([8.0, 11.0])).all()
    for first, last in ((corners[:, 0, :, 0], 8 - corners[:, 0, :, 1]), (corners[:, 1, 0], 11 - corners[:, 1, 1])):
        assert (first == 0).float().mean() > 0.3  # about half of them are drawn from beyond
        assert (last == 0).float().mean() > 0.3


def test_nothing_moves_by_nothing() -> None:
    series, images = torch.randn(9, 4, 3), torch.randn(4, 3, 11, 8)
    torch.testing.assert_close(warp_series(series, torch.full((4,), 9), 0.0), series)
    torch.testing.assert_close(warp_images(images, 0.0), images)
