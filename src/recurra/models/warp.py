"""Series and images bent a little at random, so that a model sees more of them than there are.

Source: the elastic distortions of Simard et al. 2003, Best practices for convolutional neural networks applied to
visual document analysis, who draw a displacement for each point and smooth the field; here it is drawn at a few points.
For series the time warping of Um et al. 2017, Data augmentation of wearable sensor data.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

KNOTS = 8  # displacements that are drawn along a series; those between lie on lines
KNOTS_ACROSS = 4  # along the smaller side of an image


def warp_series(series: Tensor, lengths: Tensor, most: float) -> Tensor:
    """Series whose time runs a little faster here and slower there, each in its own way.

    Args:
        series: (time, batch, channels).
        lengths: valid steps of each, integer (batch,).
        most: steps that a value is moved by at the most, 0 up.

    Returns:
        (time, batch, channels): each value is read, on a line between two steps, at most `most` steps before or after
        its own, and never outside the valid ones.
    """
    time, batch, channels = series.shape
    drawn = series.new_empty(1, batch, KNOTS).uniform_(-most, most)
    moved = F.interpolate(drawn, time, mode="linear", align_corners=True)[0].t()  # (time, batch)
    last = (lengths.to(series.device) - 1).clamp_min(0)
    places = torch.arange(time, device=series.device).unsqueeze(1) + moved
    places = torch.minimum(places.clamp_min(0), last)
    before = places.long()
    after = torch.minimum(before + 1, last)
    share = (places - before).unsqueeze(2)
    first, second = (series.gather(0, at.unsqueeze(2).expand(-1, -1, channels)) for at in (before, after))
    valid = torch.arange(time, device=series.device).unsqueeze(1) <= last
    return torch.where(valid.unsqueeze(2), torch.lerp(first, second, share), series)


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
