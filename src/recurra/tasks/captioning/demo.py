"""The demo of captioning: strips of handwritten digits."""

from collections.abc import Iterator

from recurra.progress import Progress
from recurra.tasks.captioning.trained import TrainedCaptioner
from recurra.tasks.demo import Demo
from recurra.tasks.trained import Table

NUM_STRIPS = 6


def show(model: TrainedCaptioner) -> Iterator[str | Table]:
    """Captions of some test images."""
    pictures = model.task.read_data(Progress())["test"][:NUM_STRIPS]
    found = model.predict([picture.content for picture in pictures])
    yield "Captions beside the digits on the strip:"
    rows = [
        (picture.captions[0], one.text, f"{one.texts[0].score:.3f}")
        for picture, one in zip(pictures, found, strict=True)
    ]
    yield Table(("digits", "caption", "score"), rows)


DEMO = Demo(
    about="A captioner learns to read one to four handwritten digits off a strip, from left to right:\n"
    "two convolutions, GRU 2 x 64 over rows, GRU 64 with attention as decoder. Half a minute on two cores.",
    data="digits",
    recipe={
        "channels": [32, 64],
        "row_hidden_size": 64,
        "memory_dropout": 0.1,
        "embedding_size": 32,
        "hidden_size": [64],
        "select_by": "exact",
        "epochs": 10,
        "batch_size": 32,
        "learning_rate": 3e-3,
        "schedule": "step",
        "decay": 0.7,
        "decay_after": 5,
    },
    expected={"model": 0.903, "frequent": 0.025, "nearest": 0.213},
    show=show,
    next="  recurra check captioning digits\n"
    "  recurra evaluate {run}\n"
    "  recurra train captioning YOUR-FOLDER --image-size 64,64 --color",
)
