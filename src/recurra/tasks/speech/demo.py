"""The demo of speech recognition: numbers dialled on a telephone."""

from collections.abc import Iterator

from recurra.progress import Progress
from recurra.tasks.demo import Demo
from recurra.tasks.speech.trained import TrainedRecognizer
from recurra.tasks.trained import Table

NUM_NUMBERS = 5


def show(model: TrainedRecognizer) -> Iterator[str | Table]:
    """Transcripts of some test recordings."""
    recordings = model.task.read_data(Progress())["test"][:NUM_NUMBERS]
    found = model.predict([one.samples for one in recordings], num_best=2)
    yield "Transcripts beside what was dialled, and the second best:"
    rows = []
    for one, answer in zip(recordings, found, strict=True):
        best, second = answer.texts
        rows.append((one.transcript, best.text, f"{best.score:.2f}", second.text, f"{second.score:.2f}"))
    yield Table(("dialled", "transcript", "score", "second", "score "), rows)


DEMO = Demo(
    about="A recognizer learns which numbers are dialled in recordings of a telephone's keys:\n"
    "log-mel features, GRU 2 x 64, connectionist temporal classification. Half a minute on two cores.",
    data="touch-tones",
    recipe={
        "sample_rate": 4000,
        "num_mels": 32,
        "time_masks": 0,
        "frequency_masks": 0,
        "hidden_size": [64],
        "epochs": 10,
        "learning_rate": 5e-3,
        "schedule": "step",
        "decay": 0.7,
        "decay_after": 5,
    },
    expected={"model": 0.014, "frequent": 1.0, "nearest": 1.0},
    show=show,
    next="  recurra check speech touch-tones --sample-rate 4000\n"
    "  recurra evaluate {run}\n"
    "  recurra train speech YOUR-TABLE.csv --audio-column FILE --transcript-column TEXT",
)
