"""From an image to a sequence of tokens: convolutions or given features, attention, a recurrent decoder."""

import itertools
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.errors import UsageError
from recurra.models.decoder import Decoder, DecoderOptions, DecoderState, Writer
from recurra.models.stack import Widths, build_layers, dropout_of
from recurra.nn.augment import warp_images
from recurra.nn.recurrent import Recurrent

KERNEL, POOL = 3, 2  # pixels, of each convolution and of the pooling behind it


class CaptionerOptions(DecoderOptions):
    """The shape of both sides and their dropout."""

    channels: Widths = Field(
        [32, 64, 128], description="maps of each convolution over an image, each pooled to half its height and width"
    )
    row_hidden_size: int = Field(
        0,
        ge=0,
        description="of images: units of a layer of `cell` that reads each row of the maps in both directions; 0: none",
    )
    warp: float = Field(
        0.0,
        ge=0,
        description="of images: pixels by which training moves a point, about and at the most, its neighbors alike",
    )


class CaptionerShape(NamedTuple):
    """What follows from the data."""

    image: tuple[int, ...]  # (height, width, channels) in pixels, or (cells, features)
    target_types: int
    longest_target: int  # tokens


class Convolutions(nn.Module):
    """Convolutions over an image; what is left of its pixels are cells.

    Args:
        channels: 1 grey, 3 color.
        options: maps of each convolution, and how images are bent in training.
    """

    def __init__(self, channels: int, options: CaptionerOptions) -> None:
        super().__init__()
        self.warp = options.warp
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([channels, *options.channels]):
            layers.append(nn.Conv2d(before, after, KERNEL, padding=KERNEL // 2, bias=False))
            layers += [nn.GroupNorm(1, after), nn.ReLU(), nn.MaxPool2d(POOL)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """From bytes (batch, height, width, channels) to cells, row by row, (cells, batch, maps)."""
        pixels = images.permute(0, 3, 1, 2) / 255
        if self.training and self.warp:
            pixels = warp_images(pixels, self.warp)
        maps: Tensor = self.layers(pixels)  # (batch, maps, rows, columns)
        return maps.flatten(2).permute(2, 0, 1)


class ImageEncoder(nn.Module):
    """Cells of an image, each with what it shows and where it is.

    A recurrent layer may read each row of cells in both directions, so that each knows what stands beside it (Deng et
    al. 2017, Image-to-markup generation with coarse-to-fine attention).

    Args:
        shape: of an image, or of its given features.
        options: convolutions, and the layer over their rows.

    Raises:
        UsageError: so many convolutions that nothing of the image is left, or options of images for given features.
    """

    def __init__(self, shape: tuple[int, ...], options: CaptionerOptions) -> None:
        super().__init__()
        if len(shape) == 2 and (options.row_hidden_size or options.warp):
            raise UsageError("row_hidden_size, warp: given features have neither rows nor pixels; leave both out")
        self.grid = grid_of(shape, len(options.channels))
        self.convolutions = Convolutions(shape[2], options) if len(shape) == 3 else None
        features = options.channels[-1] if self.convolutions else shape[1]
        self.recurrent: Recurrent | None = None
        if options.row_hidden_size:
            row_options = options.model_copy(update={"hidden_size": [options.row_hidden_size]})
            columns = max(self.grid[1], 2)  # of one step there is nothing to remember
            self.recurrent = build_layers(options.cell, features, row_options, columns, bidirectional=True)
        self.width = 2 * options.row_hidden_size if self.recurrent else features
        self.num_cells = self.grid[0] * self.grid[1]
        self.places = nn.Parameter(0.1 * torch.randn(self.num_cells, 1, features))
        self.memory_dropout = dropout_of(options.memory_dropout, options.locked_dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Cells (cells, batch, width) of (batch, height, width, channels) or features (batch, cells, features)."""
        cells: Tensor = images.transpose(0, 1) if self.convolutions is None else self.convolutions(images)
        cells = cells + self.places
        if self.recurrent is not None:
            rows = cells.unflatten(0, self.grid)  # (rows, columns, batch, features)
            output, _ = self.recurrent(rows.transpose(0, 1).flatten(1, 2))  # (columns, rows * batch, width)
            cells = output.unflatten(1, (self.grid[0], -1)).transpose(0, 1).flatten(0, 1)
        found: Tensor = self.memory_dropout(cells)
        return found


def grid_of(shape: tuple[int, ...], num_convolutions: int) -> tuple[int, int]:
    """Rows and columns of cells of an image; given features are one row.

    Raises:
        UsageError: so many convolutions that nothing of the image is left.
    """
    if len(shape) == 2:
        return 1, shape[0]
    rows, columns = (side // POOL**num_convolutions for side in shape[:2])
    if not rows or not columns:
        raise UsageError(
            f"channels: {num_convolutions} convolutions, each pooled to half, leave nothing of {shape[0]} x {shape[1]} "
            "pixels; give fewer, or a larger size"
        )
    return rows, columns


class Captioner(Writer):
    """Writes about an image.

    Args:
        shape: of the image, and of the vocabulary.
        options: shape and dropout.

    Raises:
        UsageError: so many convolutions that nothing of the image is left.
    """

    def __init__(self, shape: CaptionerShape, options: CaptionerOptions) -> None:
        super().__init__()
        self.encoder = ImageEncoder(shape.image, options)
        width = self.encoder.width
        self.decoder = Decoder(shape.target_types, width, width, shape.longest_target, options)

    def read(self, *source: Tensor) -> DecoderState:
        """The decoder's state before the first token.

        Args:
            source: images, bytes (batch, height, width, channels), or features (batch, cells, features).
        """
        (images,) = source
        cells = self.encoder(images)  # (cells, batch, width)
        lengths = torch.full((cells.shape[1],), len(cells), device=cells.device)
        return self.decoder.begin(cells, lengths, cells.mean(0))
