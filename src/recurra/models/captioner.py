"""An image captioner: convolutions over an image or given features, and a recurrent decoder with attention."""

import itertools
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.errors import UsageError
from recurra.models.decoder import Decoder, DecoderOptions, DecoderState, EncoderDecoder
from recurra.models.stack import Widths, build_layers, dropout_of
from recurra.nn.augment import warp_images
from recurra.nn.recurrent import Recurrent

KERNEL_SIZE, POOL_SIZE = 3, 2  # pixels, of each convolution and of the max pooling after it


class CaptionerOptions(DecoderOptions):
    """The `[model]` options of a captioner."""

    channels: Widths = Field(
        [32, 64, 128],
        description="channels of each convolution over an image; pooling after each halves height and width",
    )
    row_hidden_size: int = Field(
        0,
        ge=0,
        description="for images: units of a bidirectional layer of `cell` over each row of the feature map; 0 for none",
    )
    warp: float = Field(
        0.0,
        ge=0,
        description="for images: augmentation by smooth random shifts of the pixels, of this many pixels at most",
    )


class CaptionerShape(NamedTuple):
    """Sizes that depend on the data."""

    image: tuple[int, ...]  # (height, width, channels) of images in pixels, or (regions, features) of given features
    target_vocabulary_size: int
    max_target_length: int  # tokens


class Convolutions(nn.Module):
    """Convolutions over an image, each followed by normalization, ReLU and pooling.

    Args:
        channels: of the image, 1 for gray and 3 for color.
        options: channels of the convolutions, and augmentation.
    """

    def __init__(self, channels: int, options: CaptionerOptions) -> None:
        super().__init__()
        self.warp = options.warp
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise([channels, *options.channels]):
            layers.append(nn.Conv2d(before, after, KERNEL_SIZE, padding=KERNEL_SIZE // 2, bias=False))
            layers += [nn.GroupNorm(1, after), nn.ReLU(), nn.MaxPool2d(POOL_SIZE)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """From bytes (batch, height, width, channels) to regions, row by row, (regions, batch, features)."""
        pixels = images.permute(0, 3, 1, 2) / 255
        if self.training and self.warp:
            pixels = warp_images(pixels, self.warp)
        feature_map: Tensor = self.layers(pixels)  # (batch, features, rows, columns)
        return feature_map.flatten(2).permute(2, 0, 1)


class ImageEncoder(nn.Module):
    """Encodes an image as features of its regions, with position embeddings.

    A bidirectional recurrent layer may run over each row of regions (Deng et al. 2017, Image-to-markup generation with
    coarse-to-fine attention).

    Args:
        shape: of the image, or of its given features; see `CaptionerShape`.
        options: convolutions, and the layer over the rows.

    Raises:
        UsageError: too many convolutions for the size of the image, or image options for given features.
    """

    def __init__(self, shape: tuple[int, ...], options: CaptionerOptions) -> None:
        super().__init__()
        if len(shape) == 2 and (options.row_hidden_size or options.warp):
            raise UsageError("row_hidden_size, warp: given features have neither rows nor pixels; leave both out")
        self.grid = grid_shape(shape, len(options.channels))
        self.convolutions = Convolutions(shape[2], options) if len(shape) == 3 else None
        features = options.channels[-1] if self.convolutions else shape[1]
        self.recurrent: Recurrent | None = None
        if options.row_hidden_size:
            row_options = options.model_copy(update={"hidden_size": [options.row_hidden_size]})
            columns = max(self.grid[1], 2)  # initialization schemes need at least two steps
            self.recurrent = build_layers(options.cell, features, row_options, columns, bidirectional=True)
        self.width = 2 * options.row_hidden_size if self.recurrent else features
        self.num_regions = self.grid[0] * self.grid[1]
        self.position_embedding = nn.Parameter(0.1 * torch.randn(self.num_regions, 1, features))
        self.memory_dropout = dropout_of(options.memory_dropout, options.locked_dropout)

    def forward(self, images: Tensor) -> Tensor:
        """Encode a batch.

        Args:
            images: bytes (batch, height, width, channels), or features (batch, regions, features).

        Returns:
            (regions, batch, width).
        """
        regions: Tensor = images.transpose(0, 1) if self.convolutions is None else self.convolutions(images)
        regions = regions + self.position_embedding
        if self.recurrent is not None:
            rows = regions.unflatten(0, self.grid)  # (rows, columns, batch, features)
            output, _ = self.recurrent(rows.transpose(0, 1).flatten(1, 2))  # (columns, rows * batch, width)
            regions = output.unflatten(1, (self.grid[0], -1)).transpose(0, 1).flatten(0, 1)
        dropped: Tensor = self.memory_dropout(regions)
        return dropped


def grid_shape(shape: tuple[int, ...], num_convolutions: int) -> tuple[int, int]:
    """Rows and columns of regions of an image; given features are one row.

    Raises:
        UsageError: too many convolutions for the size of the image.
    """
    if len(shape) == 2:
        return 1, shape[0]
    rows, columns = (side // POOL_SIZE**num_convolutions for side in shape[:2])
    if not rows or not columns:
        raise UsageError(
            f"channels: {num_convolutions} convolutions, each followed by pooling that halves the image, leave nothing "
            f"of {shape[0]} x {shape[1]} pixels; give fewer, or a larger size"
        )
    return rows, columns


class Captioner(EncoderDecoder):
    """Predicts a caption of an image.

    Args:
        shape: sizes of image and vocabulary.
        options: architecture and dropout.

    Raises:
        UsageError: too many convolutions for the size of the image, image options for given features, or an
            initialization that does not fit the cell.
    """

    def __init__(self, shape: CaptionerShape, options: CaptionerOptions) -> None:
        super().__init__()
        self.encoder = ImageEncoder(shape.image, options)
        width = self.encoder.width
        self.decoder = Decoder(shape.target_vocabulary_size, width, width, shape.max_target_length, options)

    def encode(self, *source: Tensor) -> DecoderState:
        """Encode a batch; returns the decoder state before the first token.

        Args:
            source: images, bytes (batch, height, width, channels), or features (batch, regions, features).
        """
        (images,) = source
        regions = self.encoder(images)  # (regions, batch, width)
        lengths = torch.full((regions.shape[1],), len(regions), device=regions.device)
        return self.decoder.initial_state(regions, lengths, regions.mean(0))
