"""`recurra demo`."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from recurra.cli.interrupts import dying_at_once
from recurra.cli.output import print_metrics, print_table, progress
from recurra.errors import UsageError

if TYPE_CHECKING:
    from recurra.inference import (
        TrainedCaptioner,
        TrainedClassifier,
        TrainedForecaster,
        TrainedLanguageModel,
        TrainedMemory,
        TrainedRecognizer,
        TrainedTagger,
        TrainedTranslator,
    )

PROMPTS = ("The following", "A class", "if the")
STRINGS = ("(a(b)c)", "(a))(b)", "((((((dada))))))", "(()(()((a)b)c)d)", "(()(()))a)b(c)d(")
LONGER, NUM_LONGER = (61, 120), 200  # characters; strings
CODE = ("count = self . count ( count = count )", "value = ( count [ 1 ] + 2 ) * 3")
STEPS_SHOWN = 12  # of a forecast one in so many
NUM_SUMS = 5
NUM_STRIPS = 6
NUM_NUMBERS = 5
DAYS = ("July 20, 1969", "thu 9 nov 1989", "the 21st of June 2042", "14.3.15")


class Demo(NamedTuple):
    """What is shown of a task."""

    about: str  # two lines: what is learned and by what, and how long that takes
    data: str  # a data set that needs no download
    recipe: Mapping[str, Any]
    expected: Mapping[str, float]  # primary_metric on the test part, of the model and of each baseline
    show: Callable[[Any], None]  # prints what a trained model does
    next: str  # commands to go on with; {run} is its folder


def demo(
    task: Annotated[str, typer.Argument(help="What to learn; one of the tasks of `recurra train`.")] = (
        "language-modelling"
    ),
    run: Annotated[str | None, typer.Option(help="Folder to write; by default a new one in runs/.")] = None,
) -> None:
    """Train a small model for a task on data that needs no download: half a minute to three on two cores.

    Examples: recurra demo; recurra demo classification; recurra demo tagging; recurra demo translation;
    recurra demo captioning; recurra demo speech; recurra demo forecasting;
    recurra demo memory
    """
    import time

    if task not in DEMOS:
        raise UsageError(f"demo {task!r}: unknown; known: {', '.join(DEMOS)}")
    with dying_at_once():
        import recurra
        from recurra.inspection import evaluation_page, learning_curve
        from recurra.runs import METRICS, Run
        from recurra.training.session import free_run

    started, chosen = time.monotonic(), DEMOS[task]
    print(f"{chosen.about}\n")
    target = run or free_run(f"demo-{task}").folder
    folder = recurra.train(task, chosen.data, run=target, progress=progress(quiet=False), **chosen.recipe)
    metrics, model = Run(folder).read_json(METRICS), recurra.load(folder)
    print_metrics(metrics, model.task)
    versions = " (Python 3.11; other versions carry other texts)" if chosen.data.startswith("python-") else ""
    measure = model.task.primary_metric.name
    print(f"\nTest {measure.replace('_', ' ')}, expected{versions} against got:")
    for name, expected in chosen.expected.items():
        print(f"  {name:14} {expected:8.4g} {metrics[name]['test'][measure]:8.4g}")
    print()
    chosen.show(model)
    curve, page = learning_curve(folder), evaluation_page(folder)
    minutes = (time.monotonic() - started) / 60
    print(f"\n{minutes:.1f} minutes. The run is in {folder}; its learning curve: {curve}")
    if page:
        print(f"What it makes of the test data: {page}")
    print(f"\nNext:\n{chosen.next.format(run=folder)}")


def write_text(model: "TrainedLanguageModel") -> None:
    """How texts go on."""
    print("It writes (temperature 0.7):")
    for seed, prompt in enumerate(PROMPTS):
        print(f"  {model.join(prompt, model.generate(prompt, 25, temperature=0.7, seed=seed))!r}")


def judge_strings(model: "TrainedClassifier") -> None:
    """Labels of some strings, and how many it still judges rightly of such as are longer than it ever saw."""
    from itertools import islice

    from recurra.data.builtin.brackets import bracket_strings

    print("It says, with its probability:")
    for text, found in zip(STRINGS, model.predict(STRINGS), strict=True):
        print(f"  {text:20} {found.label:10} {found.probability:.4f}")
    labels, texts = zip(*islice(bracket_strings(*LONGER, seed=2), NUM_LONGER), strict=True)
    right = sum(found.label == label for found, label in zip(model.predict(texts), labels, strict=True))
    print(
        f"Of {NUM_LONGER} strings of {LONGER[0]} to {LONGER[1]} characters, longer than any in training, {right} are "
        "judged rightly."
    )


def tag_code(model: "TrainedTagger") -> None:
    """Roles below the tokens of some lines."""
    print("What it takes each token for:")
    for found in model.predict(CODE):
        columns = [(token, tag, max(len(token), len(tag))) for token, tag in zip(found.tokens, found.tags, strict=True)]
        print(f"\n  {'  '.join(token.ljust(width) for token, _, width in columns)}".rstrip())
        print(f"  {'  '.join(tag.ljust(width) for _, tag, width in columns)}".rstrip())


def compare_forecast(model: "TrainedForecaster") -> None:
    """The first forecast of the test part beside what came."""
    from recurra.data.timeline.timestamps import format_time

    found = model.backtest()[0]
    print(f"A forecast of what follows {format_time(found.timeline.times[found.start - 1])}, beside what came:")
    steps = range(STEPS_SHOWN - 1, len(found.values), STEPS_SHOWN)
    print_table(
        ("steps ahead", "forecast", "came"),
        [(f"{step + 1}", f"{found.values[step, 0]:.3f}", f"{found.actual[step, 0]:.3f}") for step in steps],
    )


def add_numbers(model: "TrainedMemory") -> None:
    """Sums of marked numbers, some far apart."""
    from recurra.progress import Progress

    model.task.load_data(Progress())
    inputs, targets = model.task.held_out["test"]
    print("Two numbers among 100 are marked; it adds them:")
    rows = []
    for lane in range(NUM_SUMS):
        first, second = inputs[:, lane, 1].nonzero().flatten().tolist()
        told = model.predict([inputs[:, lane].numpy()])[0]
        places, summands = f"{first + 1} and {second + 1}", [f"{inputs[at, lane, 0]:.3f}" for at in (first, second)]
        rows.append((places, " + ".join(summands), f"{told:.3f}", f"{targets[lane]:.3f}"))
    print_table(("marked", "numbers", "it says", "their sum"), rows)


def write_days(model: "TrainedTranslator") -> None:
    """Days as people write them, and the two best answers to each."""
    print("It writes, with its score; and what came second:")
    rows = []
    for found in model.translate(DAYS, num_best=2):
        best, second = found.renderings
        rows.append((found.source, best.text, f"{best.score:.3f}", second.text, f"{second.score:.3f}"))
    print_table(("day", "best", "score", "second", "score "), rows)


def tell_digits(model: "TrainedCaptioner") -> None:
    """What it reads off some strips of the test part."""
    from recurra.progress import Progress

    model.task.load_data(Progress())
    pictures = model.task.splits["test"][:NUM_STRIPS]
    found = model.caption([picture.content for picture in pictures])
    print("It writes, beside what is to be seen:")
    rows = [
        (picture.captions[0], one.text, f"{one.renderings[0].score:.3f}")
        for picture, one in zip(pictures, found, strict=True)
    ]
    print_table(("digits", "it writes", "score"), rows)


def hear_numbers(model: "TrainedRecognizer") -> None:
    """What it hears in some recordings of the test part."""
    from recurra.progress import Progress

    model.task.load_data(Progress())
    recordings = model.task.splits["test"][:NUM_NUMBERS]
    found = model.transcribe([one.samples for one in recordings], num_best=2)
    print("It hears, beside what was dialled; and what came second:")
    rows = [
        (one.transcript, best.text, f"{best.score:.2f}", second.text, f"{second.score:.2f}")
        for one, (best, second) in zip(recordings, found, strict=True)
    ]
    print_table(("dialled", "it hears", "score", "second", "score "), rows)


DEMOS = {
    "language-modelling": Demo(
        "A language model learns to predict each next word of Python's own documentation:\n"
        "embedding 200, LSTM 256, LSTM 128, softmax. One to three minutes on two cores.",
        "python-docs",
        {
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
        {"model": 65.2, "unigram": 280.5, "trigram": 100.1},
        write_text,
        '  recurra predict {run} "this is an"\n'
        '  recurra generate {run} "The"\n'
        "  recurra train language-modelling YOUR-TEXT.txt",
    ),
    "classification": Demo(
        "A classifier learns, character by character, whether every bracket of a string closes one that is open:\n"
        "embedding 16, LSTM 32, maximum over time, softmax. Half a minute to a minute on two cores.",
        "brackets",
        {
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
        {"model": 1.0, "majority": 0.5, "linear": 0.6615, "mlp": 0.6575},
        judge_strings,
        '  recurra predict {run} "(a(b)c)" "(a))b("\n'
        "  recurra train classification brackets --unit character --cell mlp    # the same without memory\n"
        "  recurra train classification YOUR-TABLE.csv --text-column TEXT --label-column LABEL",
    ),
    "tagging": Demo(
        "A tagger learns the role of each token in a line of Python, from modules of the standard library:\n"
        "words 50, characters 2 x 24, LSTM 2 x 64, conditional random field. One to two minutes on two cores.",
        "python-code",
        {
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
        {"model": 0.9868, "majority": 0.1868, "word": 0.7465, "linear": 0.9577, "mlp": 0.9544},
        tag_code,
        '  recurra predict {run} "total = sum ( values ) / len ( values )"\n'
        "  recurra check tagging python-code\n"
        "  recurra train tagging YOUR-SENTENCES.conllu",
    ),
    "forecasting": Demo(
        "A forecaster learns the next 84 steps of a chaotic series (Mackey & Glass 1977) from the last 64:\n"
        "GRU 64, one linear map to all steps. Half a minute to a minute on two cores.",
        "mackey-glass",
        {
            "target": ["x"],
            "context": 64,
            "horizon": 84,
            "season": 50,  # it is not periodic, but of all lags this one serves the seasonal baseline best
            "hidden_size": [64],
            "epochs": 24,
            "batch_size": 32,
            "learning_rate": 5e-3,
            "schedule": "step",
            "decay": 0.8,
            "decay_after": 8,
        },
        {"model": 0.00165, "persistence": 2.161, "seasonal_naive": 0.5154, "linear": 0.2887, "mlp": 0.1203},
        compare_forecast,
        "  recurra forecast {run} --horizon 168\n"
        "  recurra forecast {run} --backtest --out backtest.csv\n"
        "  recurra train forecasting YOUR-TABLE.csv --target COLUMN --context 64 --horizon 24",
    ),
    "translation": Demo(
        "A translator learns to write days as people write them in ISO form, character by character:\n"
        "GRU 2 x 48 reads, GRU 64 with additive attention writes. Half a minute on two cores.",
        "dates",
        {
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
        {"model": 1.0, "copy": 0.0, "word_by_word": 0.0},
        write_days,
        '  recurra translate {run} "8 may 1945" --picture\n'
        "  recurra check translation dates --unit character\n"
        "  recurra train translation YOUR-FOLDER --source de --target en",
    ),
    "captioning": Demo(
        "A captioner learns to read one to four handwritten digits off a strip, from left to right:\n"
        "two convolutions look, GRU 2 x 64 reads rows, GRU 64 with attention writes. Half a minute on two cores.",
        "digits",
        {
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
        {"model": 0.903, "frequent": 0.025, "nearest": 0.213},
        tell_digits,
        "  recurra check captioning digits\n"
        "  recurra evaluate {run}\n"
        "  recurra train captioning YOUR-FOLDER --image-size 64,64 --color",
    ),
    "speech": Demo(
        "A recognizer learns which numbers are dialled in recordings of a telephone's keys, never told when:\n"
        "log-mel features, GRU 2 x 64, connectionist temporal classification. Half a minute on two cores.",
        "touch-tones",
        {
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
        {"model": 0.014, "frequent": 1.0, "nearest": 1.0},
        hear_numbers,
        "  recurra check speech touch-tones --sample-rate 4000\n"
        "  recurra evaluate {run}\n"
        "  recurra train speech YOUR-TABLE.csv --audio-column FILE --transcript-column TEXT",
    ),
    "memory": Demo(
        "A GRU learns to add two numbers that were marked somewhere in a sequence of 100 (Hochreiter & Schmidhuber):\n"
        "GRU 32 whose gates begin with memories of all lengths. Half a minute on two cores.",
        "adding",
        {
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
        {"model": 0.00081, "always_1": 0.1815},
        add_numbers,
        "  recurra train memory adding --length 100 --cell rnn --held-out-size 1000    # without gates\n"
        "  recurra compare {run} runs/memory\n"
        "  recurra train memory copy --length 50 --cell gru --initialization chrono",
    ),
}
