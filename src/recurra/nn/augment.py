"""Series and images bent a little at random, so that a model sees more of them than there are.

Source: the elastic distortions of Simard et al. 2003, Best practices for convolutional neural networks applied to
visual document analysis, who draw a displacement for each point and smooth the field; here it is drawn at a few points.
For series the time warping of Um et al. 2017, Data augmentation of wearable sensor data.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

KNOTS = 8  # displacements that are drawn along each series; those between lie on lines
KNOTS_ACROSS = 4  # along the smaller side of an image


def warp_series(series: Tensor, lengths: Tensor, most: float) -> Tensor:
    """Series whose time runs a little faster here and slower there, each in its own way.

    Args:
        series: (time, batch, channels).
        lengths: valid steps of each, integer (batch,).
        most: steps that a value is moved by at the most, 0 up; in a short series fewer, so that time never runs back.

    Returns:
        (time, batch, channels): each value is read, on a line between two steps, at most `most` steps before or after
        its own, and never outside the valid ones.
    """
    last = (lengths.to(series.device) - 1).clamp_min(0)  # (batch,)
    widest = (last / (2 * (KNOTS - 1))).clamp_max(most).to(series.dtype)
    knots = series.new_empty(series.shape[1], KNOTS).uniform_(-1, 1).t() * widest  # (knots, batch)
    steps = torch.arange(len(series), device=series.device).unsqueeze(1)  # (time, 1)
    along = (steps / last.clamp_min(1)).clamp_max(1).to(series.dtype) * (KNOTS - 1)  # (time, batch)
    moved = between(knots.unsqueeze(2), along, torch.full_like(last, KNOTS - 1)).squeeze(2)
    warped = between(series, torch.minimum((steps + moved).clamp_min(0), last), last)
    return torch.where((steps <= last).unsqueeze(2), warped, series)


def between(values: Tensor, places: Tensor, last: Tensor) -> Tensor:
    """Values (steps, batch, channels) at places (time, batch) in 0..last, on lines between two steps."""
    before = places.long()
    after = torch.minimum(before + 1, last)
    first, second = (values.gather(0, at.unsqueeze(2).expand(-1, -1, values.shape[2])) for at in (before, after))
    return torch.lerp(first, second, (places - before).unsqueeze(2))


def warp_images(images: Tensor, most: float) -> Tensor:
    """Images bent like a sheet of rubber, each in its own way.

    Args:
        images: (batch, channels, height, width).
        most: about how many pixels a point is moved by at the most, along each axis, 0 up.

    Returns:
        (batch, channels, height, width): beyond an edge the image goes on as it is there.
    """
    batch, _, height, width = images.shape
    spacing = min(height, width) / (KNOTS_ACROSS - 1)
    knots = [round(side / spacing) + 1 for side in (height, width)]
    drawn = images.new_empty(batch, 2, *knots).uniform_(-most, most)
    moved = F.interpolate(drawn, (height, width), mode="bicubic", align_corners=True)  # (batch, x and y, height, width)
    sides = images.new_tensor([width, height])
    still = torch.eye(2, 3, dtype=images.dtype, device=images.device).expand(batch, 2, 3)
    grid = F.affine_grid(still, list(images.shape), align_corners=False)  # (batch, height, width, x and y), -1 to 1
    grid = grid + 2 * moved.permute(0, 2, 3, 1) / sides
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
