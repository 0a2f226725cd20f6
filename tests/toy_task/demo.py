"""The demo of the toy task; the test that runs it writes its data."""

from collections.abc import Iterator

from recurra.tasks.demo import Demo
from toy_task.trained import TrainedSums


def show(model: TrainedSums) -> Iterator[str]:
    yield f"1 + 2 is about {model.predict(['1 2'])[0].text}"


DEMO = Demo(
    about="A toy learns sums:\none GRU.",
    data="toy-lines.txt",
    recipe={"epochs": 2, "batch_size": 8},
    expected={"model": 1.0, "mean": 1.0},
    show=show,
    next='  recurra predict {run} "1 2 3"',
)
