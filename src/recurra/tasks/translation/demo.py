"""The demo of translation: dates to ISO form."""

from collections.abc import Iterator

from recurra.tasks.demo import Demo
from recurra.tasks.trained import Table
from recurra.tasks.translation.trained import TrainedTranslator

DATES = ("July 20, 1969", "thu 9 nov 1989", "the 21st of June 2042", "14.3.15")


def show(model: TrainedTranslator) -> Iterator[str | Table]:
    """Some dates with the two best translations."""
    yield "Translations with their scores, and the second best:"
    rows = []
    for found in model.predict(DATES, num_best=2):
        best, second = found.texts
        rows.append((found.source, best.text, f"{best.score:.3f}", second.text, f"{second.score:.3f}"))
    yield Table(("date", "best", "score", "second", "score "), rows)


DEMO = Demo(
    about="A translator learns to write days as people write them in ISO form, character by character:\n"
    "GRU 2 x 48 reads, GRU 64 with additive attention writes. Half a minute on two cores.",
    data="dates",
    recipe={
        "unit": "character",
        "embedding_size": 32,
        "hidden_size": [64],
        "encoder_size": [48],
        "embedding_dropout": 0.05,
        "output_dropout": 0.05,
        "epochs": 5,
        "batch_size": 32,
        "learning_rate": 5e-3,
        "schedule": "step",
        "decay": 0.4,
        "decay_after": 2,
    },
    expected={"model": 1.0, "copy": 0.0, "word_by_word": 0.0},
    show=show,
    next='  recurra translate {run} "8 may 1945" --plot\n'
    "  recurra check translation dates --unit character\n"
    "  recurra train translation YOUR-FOLDER --source de --target en",
)
