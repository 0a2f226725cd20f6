"""The demo of language modelling: the text of Python's documentation."""

from collections.abc import Iterator

from recurra.tasks.demo import Demo
from recurra.tasks.language_modelling.trained import TrainedLanguageModel

PROMPTS = ("The following", "A class", "if the")


def show(model: TrainedLanguageModel) -> Iterator[str]:
    """A generated text for each of some prompts."""
    yield "Generated text (temperature 0.7):"
    for seed, prompt in enumerate(PROMPTS):
        yield f"  {model.join(prompt, model.generate(prompt, length=25, temperature=0.7, seed=seed))!r}"


DEMO = Demo(
    about="A language model learns to predict each next word of Python's own documentation:\n"
    "embedding 200, LSTM 256, LSTM 128, softmax. One to three minutes on two cores.",
    data="python-docs",
    recipe={
        "embedding_size": 200,
        "hidden_size": [256, 128],
        "dropout": 0.4,
        "embedding_dropout": 0.4,
        "output_dropout": 0.4,
        "locked_dropout": True,
        "batch_size": 20,
        "window": 35,
        "epochs": 20,
        "learning_rate": 3e-3,
        "weight_decay": 0.4,
        "schedule": "step",
        "decay": 0.75,
        "decay_after": 8,
        "clip_norm": 0.5,
    },
    expected={"model": 65.2, "unigram": 280.5, "trigram": 100.1},
    show=show,
    next='  recurra predict {run} "this is an"\n'
    '  recurra generate {run} "The"\n'
    "  recurra train language-modelling YOUR-TEXT.txt",
)
