"""The demo of classification: balanced brackets."""

from collections.abc import Iterator
from itertools import islice

from recurra.data.builtin.brackets import bracket_strings
from recurra.tasks.classification.trained import TrainedClassifier
from recurra.tasks.demo import Demo

STRINGS = ("(a(b)c)", "(a))(b)", "((((((dada))))))", "(()(()((a)b)c)d)", "(()(()))a)b(c)d(")
LONGER, NUM_LONGER = (61, 120), 200  # characters; strings


def show(model: TrainedClassifier) -> Iterator[str]:
    """Labels of some strings, and the accuracy on strings longer than any in training."""
    yield "Predicted labels with their probabilities:"
    for found in model.predict(STRINGS):
        yield f"  {found.input:20} {found.label:10} {found.probability:.4f}"
    labels, texts = zip(*islice(bracket_strings(*LONGER, seed=2), NUM_LONGER), strict=True)
    right = sum(found.label == label for found, label in zip(model.predict(texts), labels, strict=True))
    yield (
        f"Of {NUM_LONGER} strings of {LONGER[0]} to {LONGER[1]} characters, longer than any in training, {right} are "
        "classified correctly."
    )


DEMO = Demo(
    about="A classifier learns, character by character, whether the brackets of a string are balanced:\n"
    "embedding 16, LSTM 32, max pooling over time, softmax. Half a minute to a minute on two cores.",
    data="brackets",
    recipe={
        "unit": "character",
        "embedding_size": 16,
        "hidden_size": [32],
        "bidirectional": False,
        "dropout": 0.0,
        "embedding_dropout": 0.0,
        "output_dropout": 0.0,
        "epochs": 8,
        "learning_rate": 0.01,
        "select_by": "loss",
    },
    expected={"model": 1.0, "majority": 0.5, "linear": 0.6615, "mlp": 0.6575},
    show=show,
    next='  recurra predict {run} "(a(b)c)" "(a))b("\n'
    "  recurra train classification brackets --unit character --cell mlp    # the same without recurrence\n"
    "  recurra train classification YOUR-TABLE.csv --text-column TEXT --label-column LABEL",
)
