"""`recurra demo`."""

from typing import Annotated

import typer

from recurra.cli.interrupts import dying_at_once
from recurra.cli.output import print_metrics, progress

PROMPTS = ("The following", "A class", "if the")
RECIPE = {
    "embedding_size": 200,
    "hidden_size": [256, 128],
    "dropout": 0.4,
    "dropout_embedding": 0.4,
    "dropout_output": 0.4,
    "locked_dropout": True,
    "batch_size": 20,
    "window": 35,
    "epochs": 20,
    "learning_rate": 3e-3,
    "weight_decay": 0.4,
    "schedule": "epoch",
    "decay": 0.75,
    "decay_after": 8,
    "clip_norm": 0.5,
}
NEXT = """
Next:
  recurra predict {run} "this is an"
  recurra generate {run} "The"
  recurra train language-modelling YOUR-TEXT.txt"""
EXPECTED = {"model": 65.2, "unigram": 280.5, "trigram": 100.1}  # test perplexity with Python 3.11


def demo(
    run: Annotated[str | None, typer.Option(help="Folder to write; by default a new one in runs/.")] = None,
) -> None:
    """Train a language model on the text of Python's documentation: one to three minutes on two cores.

    Example: recurra demo
    """
    import time

    with dying_at_once():
        import recurra
        from recurra.inference import TrainedLanguageModel
        from recurra.inspection import learning_curve
        from recurra.runs import Run
        from recurra.training.session import free_run

    started = time.monotonic()
    print(
        "A language model learns to predict each next word of Python's own documentation:\n"
        "embedding 200, LSTM 256, LSTM 128, softmax. One to three minutes on two cores.\n"
    )
    folder = recurra.train(
        "language-modelling",
        "python-docs",
        run=run or free_run("demo").folder,
        progress=progress(quiet=False),
        **RECIPE,
    )
    metrics = Run(folder).read_json("metrics.json")
    model = TrainedLanguageModel(Run(folder))
    print_metrics(metrics, model.task)
    got = {name: splits["test"]["perplexity"] for name, splits in metrics.items() if name != "training"}
    print("\nTest perplexity, expected (Python 3.11; other versions carry other texts) against got:")
    for name, expected in EXPECTED.items():
        print(f"  {name:8} {expected:8.1f} {got[name]:8.1f}")
    print("\nIt writes (temperature 0.7):")
    for seed, prompt in enumerate(PROMPTS):
        print(f"  {model.join(prompt, model.generate(prompt, 25, temperature=0.7, seed=seed))!r}")
    minutes = (time.monotonic() - started) / 60
    print(f"\n{minutes:.1f} minutes. The run is in {folder}; its learning curve: {learning_curve(folder)}")
    print(NEXT.format(run=folder))
