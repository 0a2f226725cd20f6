"""A trained captioner in use."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recurra.data.media.images import ImageOptions, is_opened, read_image
from recurra.data.media.pictures import Picture
from recurra.decoding.beam import Hypothesis, build_search
from recurra.errors import UsageError
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks import Captioning
from recurra.tasks.trained import TrainedOnExamples, refuse_one
from recurra.tasks.translation.trained import Rendering

if TYPE_CHECKING:
    from PIL.Image import Image

Given: TypeAlias = "str | Path | NDArray[Any] | Image"


class Captions(NamedTuple):
    """What a captioner writes about a picture."""

    renderings: list[Rendering]  # the best first
    view: Json  # of the best: tokens, grid (rows and columns of cells) and weights (tokens, cells) of reading them

    @property
    def text(self) -> str:
        """The best caption."""
        return self.renderings[0].text


class TrainedCaptioner(TrainedOnExamples[Captioning]):
    """A captioner, ready to use; arguments and errors as of `TrainedModel`."""

    task_type = Captioning

    def caption(
        self,
        pictures: Sequence[Given],
        *,
        beam: int | None = None,
        num_best: int = 1,
        length_penalty: float | None = None,
        coverage_penalty: float | None = None,
        progress: Progress | None = None,
    ) -> list[Captions]:
        """The best captions of each picture.

        Args:
            pictures: files of images, or images that Pillow has opened; or arrays as the model reads them: bytes
                (height, width, channels), or features (cells, features), any floats.
            beam: hypotheses under way; 1 goes on with the likeliest token alone. By default, as what follows, that of
                the recipe.
            num_best: captions of each.
            length_penalty: 0 prefers short ones, 1 is nearly the mean log-probability.
            coverage_penalty: above 0 punishes cells that nothing was read of.
            progress: told how far it is.

        Raises:
            DataError: a file that is no image.
            UsageError: a value outside its range, an array of another shape or kind, anything else, or one picture
                instead of a list.
        """
        refuse_one(pictures, "caption")
        if is_opened(pictures):
            raise UsageError("caption: expected a list, got one image; write caption([image])")
        penalties = {"length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
        rules = self.task.recipe.decoding.given(num_best, beam=beam, **penalties)
        if not len(pictures):
            return []
        read = [Picture(self.content_of(picture), (), "", "") for picture in pictures]
        contents = np.stack([picture.content for picture in read])
        found = self.task.write(contents, build_search(rules), progress or Progress())
        return [self.told(picture, best) for picture, best in zip(read, found, strict=True)]

    def told(self, picture: Picture, found: Sequence[Hypothesis]) -> Captions:
        """A picture with what was found for it."""
        renderings = [Rendering.of(self.task.text_of(picture, one), one) for one in found]
        view = self.task.reading(picture, found[0])
        return Captions(renderings, {key: view[key] for key in ("tokens", "grid", "weights")})

    def content_of(self, picture: Given) -> NDArray[Any]:
        """A picture as the model reads it; errors as of `caption`."""
        shape = self.task.shape.image
        if isinstance(picture, np.ndarray):
            return read_array(picture, shape)
        if not (isinstance(picture, str | Path) or is_opened(picture)):
            raise UsageError(
                f"caption: expected image files, images that Pillow has opened, or arrays, got {type(picture).__name__}"
            )
        if len(shape) == 2:
            name = picture if isinstance(picture, str | Path) else "caption"
            raise UsageError(
                f"{name}: {self.run} reads features that another network computed, {shape} of each image; give these"
            )
        height, width, channels = shape
        given = Path(picture) if isinstance(picture, str) else picture
        return read_image(given, ImageOptions((height, width), channels == 3))


def read_array(picture: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """An array as the model reads it, bytes or float32.

    Args:
        picture: the array.
        shape: that the model reads, three axes of an image or two of features.

    Raises:
        UsageError: another shape or kind, or a value that is not finite.
    """
    kind = "bytes" if len(shape) == 3 else "floats"
    if picture.shape != shape or not (picture.dtype == np.uint8 if len(shape) == 3 else picture.dtype.kind == "f"):
        is_resizable = len(shape) == 3 and picture.shape[:2] != shape[:2]
        remedy = f"; give its file, or resize it to {shape[:2]}" if is_resizable else ""
        raise UsageError(f"caption: expected {kind} {shape}, got {picture.dtype} {picture.shape}{remedy}")
    found = picture if len(shape) == 3 else picture.astype(np.float32)
    if not np.isfinite(found).all():
        raise UsageError("caption: a feature is not finite; leave such a picture out")
    return found
