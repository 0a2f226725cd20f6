"""A trained captioner in use."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recurra.data.media.images import IMAGES, ImageOptions, is_opened, read_image
from recurra.data.media.pictures import Picture, load_cells
from recurra.decoding.beam import build_search
from recurra.errors import DataError, ShapeError, UsageError
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks import seq2seq
from recurra.tasks.captioning.data import ImageSources
from recurra.tasks.captioning.task import Captioning
from recurra.tasks.seq2seq import GeneratedText, SearchOptions, refuse_plot, table_of
from recurra.tasks.trained import Input, Table, TrainedModel, Verb


class Captions(NamedTuple):
    """The captions of one image."""

    image: str  # name of the file
    texts: list[GeneratedText]  # the best first
    attention: Json  # of the best: tokens, grid (rows and columns of cells) and weights (tokens, cells)
    content: NDArray[Any]  # as the model reads it

    @property
    def text(self) -> str:
        """The best caption."""
        return self.texts[0].text

    def pieces(self) -> Iterator[str]:
        """The same for printing, marked where the maximum length cut it off."""
        yield self.texts[0].shown

    def as_json(self) -> Json:
        """All fields but the image itself."""
        return {"image": self.image, "texts": [one._asdict() for one in self.texts], "attention": self.attention}

    def as_table(self) -> Table | None:
        """A row for each caption, where there are several."""
        return table_of(self.image, self.texts)


def predict(
    model: "TrainedCaptioner", inputs: list[Input], options: SearchOptions, progress: Progress
) -> list[Captions]:
    """The captions of each image.

    Raises:
        DataError: a file that is not an image.
        ShapeError: an array of another shape or type than the model reads.
        UsageError: anything else that is not an image, or a value that is not finite.
    """
    if not inputs:
        return []
    search = build_search(options.beam_options(model.task.recipe.decoding))
    pictures = [Picture(model.content_of(one.value), (), "", "") for one in inputs]
    contents = np.stack([picture.content for picture in pictures])
    sources = ImageSources(contents, model.task.model.encoder.num_regions)
    found = seq2seq.generate(model.task, sources, search, progress)
    answers = []
    for one, picture, hypotheses in zip(inputs, pictures, found, strict=True):
        texts = [GeneratedText.of(model.task.text_of(picture, hypothesis), hypothesis) for hypothesis in hypotheses]
        attention = model.task.attention_of(picture, hypotheses[0])
        del attention["image"]
        answers.append(Captions(one.name, texts, attention, picture.content))
    return answers


class TrainedCaptioner(TrainedModel[Captioning]):
    """A captioner, ready to use; arguments and errors as of `TrainedModel`.

    Inputs are image files, images that Pillow has opened, or arrays as the model reads them: bytes (height, width,
    channels), or features (cells, features) of any float type.
    """

    verbs: ClassVar[Mapping[str, Verb]] = {"predict": Verb(SearchOptions, predict)}
    batch_size: ClassVar[int] = 64
    plots = "asked"
    caption = TrainedModel.predict

    @property
    def reads_files(self) -> bool:
        """Images are given as files."""
        return True

    @property
    def endings(self) -> tuple[str, ...]:
        """Of image files, or of files of features."""
        return IMAGES if len(self.task.image_shape) == 3 else (".npz",)

    def expand(self, inputs: Sequence[Any], progress: Progress) -> list[Input]:
        """Refuse one opened image instead of a list of such."""
        if is_opened(inputs):
            raise UsageError("predict: expected a list, got one image; write predict([image])")
        return super().expand(inputs, progress)

    def read_file(self, path: str, options: Mapping[str, Any], progress: Progress) -> Iterator[Input]:  # noqa: ARG002
        """The image in a file, or the features of many images in an `.npz` file."""
        shape = self.task.image_shape
        if not path.endswith(".npz"):
            yield Input(path, self.content_of(path))
            return
        if len(shape) == 3:
            raise UsageError(f"{path}: {self.run} reads image files, not features; give these")
        for number, cells in enumerate(load_cells(Path(path)), 1):
            name = f"{path} image {number}"
            if cells.shape != shape:
                raise DataError(f"{name}: features {cells.shape}, but {self.run} reads {shape} of each image")
            yield Input(name, cells)

    def content_of(self, image: Any) -> NDArray[Any]:
        """An image as the model reads it; errors as of `predict`."""
        shape = self.task.image_shape
        if isinstance(image, np.ndarray):
            return read_array(image, shape)
        if not (isinstance(image, str | Path) or is_opened(image)):
            raise UsageError(
                f"predict: expected image files, images that Pillow has opened, or arrays, got {type(image).__name__}"
            )
        if len(shape) == 2:
            name = image if isinstance(image, str | Path) else "predict"
            raise UsageError(
                f"{name}: {self.run} reads features that another network computed, {shape} of each image; give these"
            )
        height, width, channels = shape
        given = Path(image) if isinstance(image, str) else image
        return read_image(given, ImageOptions((height, width), channels == 3))

    def figures(self, answers: Sequence[Captions]) -> Sequence[Any]:
        """Attention over the image for each token of a caption.

        Raises:
            UsageError: the model has no attention.
        """
        from recurra.figures.pages import LazyFigures
        from recurra.tasks.captioning.page import attention_figure

        refuse_plot(self.run, self.task.recipe.model.attention)

        def draw(one: Captions) -> Any:
            image = one.content.tolist() if one.content.ndim == 3 else None
            return attention_figure({**one.attention, "image": image})

        return LazyFigures(answers, draw)


def read_array(image: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """An array as the model reads it, bytes or float32.

    Args:
        image: the array.
        shape: that the model reads, three axes of an image or two of features.

    Raises:
        ShapeError: another shape or kind.
        UsageError: a value that is not finite.
    """
    kind = "bytes" if len(shape) == 3 else "floats"
    if image.shape != shape or not (image.dtype == np.uint8 if len(shape) == 3 else image.dtype.kind == "f"):
        is_resizable = len(shape) == 3 and image.shape[:2] != shape[:2]
        remedy = f"; give its file, or resize it to {shape[:2]}" if is_resizable else ""
        raise ShapeError(f"predict: expected {kind} {shape}, got {image.dtype} {image.shape}{remedy}")
    found = image if len(shape) == 3 else image.astype(np.float32)
    if not np.isfinite(found).all():
        raise UsageError("predict: a feature is not finite; leave such an image out")
    return found


TRAINED = TrainedCaptioner
