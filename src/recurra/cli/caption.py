"""`recurra caption`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.files import files_of, groups_until_failure, stand_behind_names
from recurra.cli.output import Device, RunFolder, not_for, open_model, print_line
from recurra.cli.renderings import Beam, CoveragePenalty, LengthPenalty, NumBest, print_renderings, told_of
from recurra.errors import DataError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from recurra.inference import TrainedCaptioner

AT_ONCE = 64  # pictures


def caption(
    run: RunFolder,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...", help="Image files, or .npz files of features; or folders of them.", show_default=False
        ),
    ],
    beam: Beam = None,
    num_best: NumBest = 1,
    length_penalty: LengthPenalty = None,
    coverage_penalty: CoveragePenalty = None,
    picture: Annotated[
        bool, typer.Option("--picture", help="Draw where each image was looked at, into the run folder.")
    ] = False,
    device: Device = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, a line each.")] = False,
) -> None:
    """Write about images: a line each, behind its name and a tab where there is more than one file, or a folder.

    Examples: recurra caption runs/birds new.jpg other.png; recurra caption runs/birds pictures/ > captions.tsv;
    recurra caption runs/birds new.jpg --num-best 3 --picture
    """
    model = open_model(run, device)
    from recurra.figures.pages import write_charts
    from recurra.inference import TrainedCaptioner
    from recurra.tasks.captioning.page import FILE, view_figure

    if not isinstance(model, TrainedCaptioner):
        raise not_for(run, "writes about no images", model.task)
    if picture and model.task.recipe.model.attention == "none":
        raise UsageError(f"--picture: {run} has no attention, so it looks at an image as a whole")
    files = files_of(images, endings_for(model))
    has_names = stand_behind_names(images, files)
    views = []
    options: dict[str, Any] = {"beam": beam, "length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
    for several in groups_until_failure(given(files, model), AT_ONCE):
        names, pictures = zip(*several, strict=True)
        found = model.caption(pictures, num_best=num_best, **options)
        for image, content, one in zip(names, pictures, found, strict=True):
            views += [{**one.view, "image": content.tolist() if content.ndim == 3 else None}] if picture else []
            if as_json:
                print_line({"image": image, **told_of(one.renderings), "view": one.view})
                continue
            print_renderings(image, one.renderings, num_best, has_names=has_names)
    if picture:
        title = f"{model.run.folder.name}: where it looked"
        print(write_charts(model.run.path(FILE), title, views, view_figure), file=sys.stderr)


def endings_for(model: "TrainedCaptioner") -> tuple[str, ...]:
    """Of the files of a folder that a model can write about."""
    from recurra.data.media.images import IMAGES

    return IMAGES if len(model.task.shape.image) == 3 else (".npz",)


def given(files: list[str], model: "TrainedCaptioner") -> "Iterator[tuple[str, NDArray[Any]]]":
    """What files hold as the model reads it, each with its name: a file is one image, or the features of many."""
    from recurra.data.media.pictures import load_cells

    shape = model.task.shape.image
    for file in files:
        if not file.endswith(".npz"):
            yield file, model.content_of(file)
            continue
        if len(shape) == 3:
            raise UsageError(f"{file}: {model.run} reads image files, not features; give these")
        for number, cells in enumerate(load_cells(Path(file)), 1):
            name = f"{file} image {number}"
            if cells.shape != shape:
                raise DataError(f"{name}: features {cells.shape}, but {model.run} reads {shape} of each image")
            yield name, cells
