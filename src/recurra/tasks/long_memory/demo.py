"""The demo of long memory: adding two marked numbers."""

from collections.abc import Iterator

from recurra.progress import Progress
from recurra.tasks.demo import Demo
from recurra.tasks.long_memory.trained import TrainedLongMemory
from recurra.tasks.trained import Table

NUM_SUMS = 5


def show(model: TrainedLongMemory) -> Iterator[str | Table]:
    """Predicted sums of marked numbers."""
    inputs, targets = model.task.read_data(Progress())["test"]
    yield "Two numbers among 100 are marked; the network adds them:"
    rows = []
    for lane in range(NUM_SUMS):
        first, second = inputs[:, lane, 1].nonzero().flatten().tolist()
        (found,) = model.predict([inputs[:, lane].numpy()])
        places, summands = f"{first + 1} and {second + 1}", [f"{inputs[at, lane, 0]:.3f}" for at in (first, second)]
        rows.append((places, " + ".join(summands), f"{found.answer:.3f}", f"{targets[lane]:.3f}"))
    yield Table(("marked", "numbers", "predicted", "their sum"), rows)


DEMO = Demo(
    about="A GRU learns to add two numbers marked in a sequence of 100 (Hochreiter & Schmidhuber):\n"
    "GRU 32 with gates initialized for memories of all lengths. Half a minute on two cores.",
    data="adding",
    recipe={
        "length": 100,
        "cell": "gru",
        "initialization": "chrono",
        "hidden_size": [32],
        "epochs": 8,
        "train_size": 5000,
        "held_out_size": 1000,
        "batch_size": 32,
        "learning_rate": 5e-3,
        "schedule": "step",
        "decay": 0.6,
        "decay_after": 4,
    },
    expected={"model": 0.00081, "always_1": 0.1815},
    show=show,
    next="  recurra train long-memory adding --length 100 --cell rnn --held-out-size 1000    # without gates\n"
    "  recurra compare {run} runs/long-memory\n"
    "  recurra train long-memory copy --length 50 --cell gru --initialization chrono",
)
