"""Image files of any kind as arrays of one size."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from recurra.errors import DataError, RecurraError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")  # endings by which a folder is searched


class ImageOptions(NamedTuple):
    """How image files are read.

    Every image gets the same size. It keeps its proportions: what they leave free, at both sides alike, has the color
    of its upper left corner, which is that of the paper where it shows writing.
    """

    size: tuple[int, int]  # height and width in pixels
    color: bool  # red, green, blue; else grey


def is_opened(given: object) -> "TypeGuard[Image]":
    """Whether this is an image that Pillow has opened."""
    pillow = sys.modules.get("PIL.Image")  # who gives one has imported it
    return pillow is not None and isinstance(given, pillow.Image)


def read_image(given: "Path | Image", options: ImageOptions) -> NDArray[np.uint8]:
    """An image in the size and the colors asked for; of an animated one the first frame.

    It is turned upright as its camera says, and white where it is transparent.

    Args:
        given: a file of any format that Pillow reads, or an image that it has opened.
        options: its size and colors.

    Returns:
        (height, width, 3), or (height, width, 1) if grey; 0 is black.

    Raises:
        DataError: no such file, or none that can be decoded to its end.
        RecurraError: Pillow is not installed.
        UsageError: a size below 1.
    """
    if min(options.size) < 1:
        raise UsageError(f"size: expected a height and a width of at least 1 pixel, got {options.size}")
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise RecurraError(
            f"{given}: reading images takes Pillow; install it with: pip install 'recurra[images]'"
        ) from None
    name = given if isinstance(given, Path) else getattr(given, "filename", "") or "an opened image"
    try:
        with Image.open(given) if isinstance(given, Path) else contextlib.nullcontext(given) as image:
            return pixels_of(image, options)
    except FileNotFoundError:
        raise DataError(f"{name}: no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"{name}: not an image of a format that is known; expected such as PNG or JPEG") from None
    except Exception as error:  # what decoders say to damaged files is of any kind
        raise DataError(f"{name}: cannot be read as an image ({error}); mend it, or leave it out") from None


def pixels_of(image: "Image", options: ImageOptions) -> NDArray[np.uint8]:
    """The pixels of an open image, (height, width, channels)."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("fractions of no known range, where whole numbers are expected")
    if image.mode.startswith("I"):  # 16 bits of grey; Pillow would take all above 255 for white
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB" if options.color else "L")
    height, width = options.size
    corner = cast("int | tuple[int, ...]", image.getpixel((0, 0)))
    return np.array(ImageOps.pad(image, (width, height), color=corner)).reshape(height, width, -1)
