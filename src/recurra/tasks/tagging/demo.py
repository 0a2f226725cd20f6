"""The demo of tagging: roles of tokens in Python code."""

from collections.abc import Iterator

from recurra.tasks.demo import Demo
from recurra.tasks.tagging.trained import TrainedTagger

LINES = ("count = self . count ( count = count )", "value = ( count [ 1 ] + 2 ) * 3")


def show(model: TrainedTagger) -> Iterator[str]:
    """Some lines of code with the predicted role below each token."""
    yield "Predicted role of each token:"
    for found in model.predict(LINES):
        columns = [(token, tag, max(len(token), len(tag))) for token, tag in zip(found.tokens, found.tags, strict=True)]
        yield ""
        yield f"  {'  '.join(token.ljust(width) for token, _, width in columns)}".rstrip()
        yield f"  {'  '.join(tag.ljust(width) for _, tag, width in columns)}".rstrip()


DEMO = Demo(
    about="A tagger learns the role of each token in a line of Python, from modules of the standard library:\n"
    "words 50, characters 2 x 24, LSTM 2 x 64, conditional random field. One to two minutes on two cores.",
    data="python-code",
    recipe={
        "lowercase": False,
        "embedding_size": 50,
        "character_embedding_size": 16,
        "character_hidden_size": 24,
        "hidden_size": [64],
        "embedding_dropout": 0.4,
        "epochs": 5,
        "learning_rate": 5e-3,
        "schedule": "step",
        "decay": 0.6,
        "decay_after": 2,
    },
    expected={"model": 0.9868, "majority": 0.1868, "word": 0.7465, "linear": 0.9577, "mlp": 0.9544},
    show=show,
    next='  recurra predict {run} "total = sum ( values ) / len ( values )"\n'
    "  recurra check tagging python-code\n"
    "  recurra train tagging YOUR-SENTENCES.conllu",
)
