"""`recurra caption`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.output import Device, RunFolder, groups, open_model, print_line
from recurra.cli.renderings import Beam, CoveragePenalty, LengthPenalty, NumBest, print_renderings, told_of
from recurra.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT_ONCE = 64  # pictures


def caption(
    run: RunFolder,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Image files, or .npz files of features.", show_default=False),
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
    """Write about images.

    Examples: recurra caption runs/birds new.jpg other.png; recurra caption runs/birds new.jpg --num-best 3 --picture
    """
    model = open_model(run, device)
    from recurra.inference import TrainedCaptioner
    from recurra.inspection.captions import FILE, view_figure
    from recurra.inspection.pages import write_charts

    if not isinstance(model, TrainedCaptioner):
        raise UsageError(f"{run}: writes about no images, its task is {model.task.name}; see recurra predict")
    if picture and model.task.recipe.model.attention == "none":
        raise UsageError(f"--picture: {run} has no attention, so it looks at an image as a whole")
    views = []
    options: dict[str, Any] = {"beam": beam, "length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
    for several in groups(given(images), AT_ONCE):
        names, pictures = zip(*several, strict=True)
        for image, one in zip(names, model.caption(pictures, num_best=num_best, **options), strict=True):
            views += [one.view] if picture else []
            if as_json:
                weights = {key: one.view[key] for key in ("tokens", "grid", "weights")}
                print_line({"image": image, **told_of(one.renderings), "view": weights})
            else:
                print_renderings(image, one.renderings, num_best)
    if picture:
        title = f"{model.run.folder.name}: where it looked"
        print(write_charts(model.run.path(FILE), title, views, view_figure), file=sys.stderr)


def given(images: list[str]) -> "Iterator[tuple[str, str | NDArray[Any]]]":
    """What arguments stand for, each with its name: a file is one image, or the features of many."""
    from recurra.data.pictures import load_cells

    for image in images:
        if image.endswith(".npz"):
            yield from ((f"{image} image {number}", cells) for number, cells in enumerate(load_cells(Path(image)), 1))
        else:
            yield image, image
