"""Series and images bent at random: how far, how smoothly, each its own way, and never beyond what is valid."""

import torch
from torch import Tensor

from recurra.models.warp import KNOTS, KNOTS_ACROSS, warp_images, warp_series

MOST = 3.0
TIME, BATCH = 120, 90


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


def test_images_move_by_about_no_more_than_they_may_and_smoothly() -> None:
    torch.manual_seed(5)
    images = coordinates(40, 30, 90)
    moved = (warp_images(images, MOST) - images)[:, :, 5:-5, 5:-5]  # away from the edges, which go on as they are
    assert 0.8 * MOST < moved.abs().max() < 1.5 * MOST
    for axis in range(2):  # as far along the long side as along the short one
        assert abs(float(moved[:, axis].mean())) < 0.1 * MOST
        assert 0.3 * MOST < float(moved[:, axis].std()) < 0.6 * MOST
    steepest = 2 * MOST * (KNOTS_ACROSS - 1) / 30
    for axis in (2, 3):
        slopes = moved.diff(dim=axis).abs()
        assert slopes.max() < 2 * steepest
        assert slopes.mean() > 0.1 * steepest
    assert moved.diff(dim=0).abs().amax((1, 2, 3)).min() > 0  # no two images alike
    assert (moved[:, 0] - moved[:, 1]).abs().max() > MOST  # nor both axes


def test_images_go_on_beyond_their_edges() -> None:
    torch.manual_seed(6)
    assert warp_images(torch.full((3, 2, 12, 9), 0.7), 6.0).allclose(torch.tensor(0.7))


def test_nothing_moves_by_nothing() -> None:
    series, images = torch.randn(9, 4, 3), torch.randn(4, 3, 11, 8)
    torch.testing.assert_close(warp_series(series, torch.full((4,), 9), 0.0), series)
    torch.testing.assert_close(warp_images(images, 0.0), images)
