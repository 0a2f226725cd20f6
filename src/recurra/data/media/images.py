"""Image files of any format as arrays of one size."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from recurra.errors import DataError, RecurraError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")  # endings of image files in a folder


class ImageOptions(NamedTuple):
    """How image files are read.

    Every image gets the same size and keeps its proportions. It is padded on both sides alike, with the color of its
    upper left corner, which is that of the paper where it shows writing.
    """

    size: tuple[int, int]  # height and width in pixels
    color: bool  # red, green and blue instead of grey


def is_opened(given: object) -> "TypeGuard[Image]":
    """Whether this is an opened image of Pillow, which is not imported for it."""
    pillow = sys.modules.get("PIL.Image")  # imported by whoever opened the image
    return pillow is not None and isinstance(given, pillow.Image)


def read_image(given: "Path | Image", options: ImageOptions) -> NDArray[np.uint8]:
    """An image of any format that Pillow reads, in some size and colors; the first frame of an animation.

    It is rotated as its EXIF orientation says, and transparent pixels become white.

    Returns:
        (height, width, 3), or (height, width, 1) if grey; 0 is black.

    Raises:
        DataError: no such file, or one that cannot be decoded completely.
        RecurraError: Pillow is not installed.
        UsageError: a size below 1.
    """
    if min(options.size) < 1:
        raise UsageError(f"size: expected a height and a width of at least 1 pixel, got {options.size}")
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        install = "install it with: pip install 'recurra[images]'"
        raise RecurraError(f"{given}: reading images takes Pillow; {install}") from None
    name = given if isinstance(given, Path) else getattr(given, "filename", "") or "an opened image"
    try:
        with Image.open(given) if isinstance(given, Path) else contextlib.nullcontext(given) as image:
            return pixels_of(image, options)
    except FileNotFoundError:
        raise DataError(f"{name}: no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"{name}: not an image in a known format; expected one such as PNG or JPEG") from None
    except Exception as error:  # decoders raise anything at damaged files
        raise DataError(f"{name}: cannot be read as an image ({error}); correct it, or leave it out") from None


def pixels_of(image: "Image", options: ImageOptions) -> NDArray[np.uint8]:
    """The pixels of an open image, (height, width, channels)."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("fractions of unknown range; expected whole numbers")
    if image.mode.startswith("I"):  # 16 bits of grey, of which Pillow would turn all above 255 white
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB" if options.color else "L")
    height, width = options.size
    corner = cast("int | tuple[int, ...]", image.getpixel((0, 0)))
    return np.array(ImageOps.pad(image, (width, height), color=corner)).reshape(height, width, -1)
