"""A translator in use: options of the search and of sampling, files of sources, answers as text, JSON and charts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra
from noting import Notes
from recurra.errors import DataError, UsageError
from recurra.progress import Progress
from recurra.tasks.translation.trained import TrainedTranslator

LETTERS = "abcdef"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small letters and the same in upper case."""
    path = tmp_path_factory.mktemp("letters") / "pairs.txt"
    words = [first + second + third for first in LETTERS for second in LETTERS for third in LETTERS]
    path.write_text("".join(f"{word}\t{word.upper()}\n" for word in words))
    return path


def train(pairs: Path, **options: Any) -> TrainedTranslator:
    """A translator after a few steps of training."""
    sizes = {"unit": "character", "embedding_size": 7, "hidden_size": [9], "encoder_size": [5], "batch_size": 16}
    run = recurra.train(
        "translation", pairs, run=pairs.parent / f"run-{len(options)}", progress=Progress(), **sizes, **options
    )
    model: TrainedTranslator = recurra.load(run)
    return model


@pytest.fixture(scope="module")
def model(pairs: Path) -> TrainedTranslator:
    return train(pairs, steps=4)


@pytest.fixture(scope="module")
def plain(pairs: Path) -> TrainedTranslator:
    """Without attention, and with short translations."""
    return train(pairs, steps=2, attention="none", max_tokens=2)


def texts(answers: list[Any]) -> list[str]:
    return [answer.text for answer in answers]


@pytest.mark.parametrize("options", [{"temperature": 2.0}, {"top_k": 2}, {"top_p": 0.5}, {"seed": 3}])
def test_options_of_sampling_need_sample(options: dict[str, Any], model: TrainedTranslator) -> None:
    option = f"--{next(iter(options)).replace('_', '-')}"
    with pytest.raises(UsageError) as error:
        model.predict(["abc"], **options)
    assert str(error.value) == f"{option} is for --sample; give --sample beside {option}, or leave it out"
    assert texts(model.predict(["abc"], sample=True, **options))


@pytest.mark.parametrize(
    "options", [{"num_best": 2}, {"beam_size": 1}, {"length_penalty": 0.0}, {"coverage_penalty": 0.5}]
)
def test_options_of_a_search_exclude_sample(options: dict[str, Any], model: TrainedTranslator) -> None:
    option = f"--{next(iter(options)).replace('_', '-')}"
    with pytest.raises(UsageError) as error:
        model.predict(["abc"], sample=True, **options)
    message = f"{option} is for a search; give no {option} beside --sample, which generates one text"
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 2}, "predict: beam: unknown key; did you mean 'beam_size'?"),
        ({"beam_size": 0}, "predict: beam_size: expected greater than or equal to 1, got 0"),
        ({"num_best": 0}, "predict: num_best: expected greater than or equal to 1, got 0"),
        ({"length_penalty": -1}, "predict: length_penalty: expected greater than or equal to 0, got -1"),
        ({"sample": True, "temperature": -1}, "temperature: expected a number of 0 or more, got -1.0"),
        ({"sample": True, "top_k": 0}, "predict: top_k: expected greater than or equal to 1, got 0"),
        ({"sample": True, "top_p": 0}, "predict: top_p: expected greater than 0, got 0"),
    ],
)
def test_values_outside_their_range(options: dict[str, Any], message: str, model: TrainedTranslator) -> None:
    with pytest.raises(UsageError) as error:
        model.predict(["abc"], **options)
    assert str(error.value) == message


def test_options_of_the_search_replace_those_of_the_recipe(model: TrainedTranslator) -> None:
    """The score of a text is its log-probability over a power of its length."""
    for penalty in (0.0, 0.5, 2.0):
        (found,) = model.predict(["abc"], num_best=3, length_penalty=penalty)
        for one in found.texts:
            divisor = ((5 + len(one.text) + 1) / 6) ** penalty
            assert one.score == pytest.approx(one.log_probability / divisor, rel=1e-5)
    by_recipe = model.predict(["abc"], num_best=3)
    assert by_recipe == model.predict(["abc"], num_best=3, beam_size=5, length_penalty=1.0, coverage_penalty=0.0)


def test_narrow_sampling_is_greedy_search(model: TrainedTranslator) -> None:
    sources = ["abc", "fed", "cab", "deaf"]
    greedy = texts(model.predict(sources, beam_size=1))
    for narrow in ({"temperature": 0.0}, {"top_k": 1}, {"top_p": 1e-6}):
        assert texts(model.predict(sources, sample=True, **narrow)) == greedy
    wide = texts(model.predict(sources, sample=True, seed=1, temperature=3.0))
    assert wide == texts(model.predict(sources, sample=True, seed=1, temperature=3.0))
    assert wide != texts(model.predict(sources, sample=True, seed=2, temperature=3.0))


def test_sources_are_read_from_lines_and_tables(model: TrainedTranslator, tmp_path: Path) -> None:
    def read(name: str, content: str, notes: Notes | None = None, **options: Any) -> list[str]:
        (tmp_path / name).write_text(content)
        found = list(model.read_file(str(tmp_path / name), options, notes or Notes()))
        assert all(one.name == one.value for one in found)
        return [one.value for one in found]

    assert read("lines.txt", "abc\n\nfed\n") == ["abc", "", "fed"]
    assert read("both.txt", "abc\tABC\nfed\tx\n") == ["abc", "fed"]
    assert read("one.csv", "text\nabc\nfed\n") == ["abc", "fed"]
    notes = Notes()
    assert read("two.csv", "from,to\nabc,cab\nfed,def\n", notes) == ["abc", "fed"]
    assert notes.lines == [f"{tmp_path / 'two.csv'}: sources are column 'from', a name in its header"]
    assert read("two.csv", "from,to\nabc,cab\nfed,def\n", source="to") == ["cab", "def"]
    assert read("bars.txt", "abc|cab\nfed|def\n", delimiter="|", source=1) == ["cab", "def"]
    with pytest.raises(DataError, match=r"gap\.csv line 3: no source"):
        read("gap.csv", "from,to\nabc,cab\n,def\n")
    given = model.predict([tmp_path / "one.csv", "cab"])
    assert given == model.predict(["abc", "fed", "cab"])


def test_an_empty_text_is_refused(model: TrainedTranslator) -> None:
    with pytest.raises(DataError, match="text 2 of 3: empty, so there is nothing to translate; leave it out"):
        model.predict(["abc", " \t", "fed"])
    assert model.predict([]) == []


def test_answers_as_json_and_as_a_table(model: TrainedTranslator) -> None:
    (found,) = model.predict(["aéb"], num_best=3)
    values = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert values == {
        "source": "aéb",
        "texts": [one._asdict() for one in found.texts],
        "alignment": found.alignment,
        "unknown": ["é"],
    }
    assert [*values["texts"][0]] == ["text", "log_probability", "score", "complete"]
    table = found.as_table()
    assert table is not None
    assert table.columns == ("aéb", "score", "log-probability")
    assert table.rows == [(one.text, f"{one.score:.3f}", f"{one.log_probability:.2f}") for one in found.texts]
    (single,) = model.predict(["aéb"])
    assert single.as_table() is None
    assert single.text == found.text == found.texts[0].text


def test_a_text_that_was_cut_off_is_marked_in_print_only(
    plain: TrainedTranslator, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_ends = plain.task.model.decoder.output.bias.detach().clone()
    never_ends[plain.task.target_vocabulary.start_id] = -20
    monkeypatch.setattr(plain.task.model.decoder.output.bias, "data", never_ends)
    (found,) = plain.predict(["abc"], beam_size=1)
    assert not found.texts[0].complete
    assert len(found.text) == 2
    assert list(found.pieces()) == [f"{found.text} ... (cut off)"]
    assert found.as_json()["texts"][0]["text"] == found.text


def test_attention_is_drawn_where_the_model_has_any(model: TrainedTranslator, plain: TrainedTranslator) -> None:
    answers = model.predict(["abc", "feda"])
    for figure, found in zip(model.figures(answers), answers, strict=True):
        (heatmap,) = figure.data
        np.testing.assert_array_equal(heatmap.z, found.alignment["weights"])
        assert list(figure.layout.xaxis.ticktext) == [*found.source, "(end)"]
        assert list(figure.layout.yaxis.ticktext) == [*found.text, "(end)"]
    with pytest.raises(UsageError, match=f"--plot: {plain.run} has no attention, so there is nothing to draw"):
        plain.figures(plain.predict(["abc"]))
    with pytest.raises(UsageError, match="coverage_penalty: expected 0 without attention"):
        plain.predict(["abc"], coverage_penalty=1.0)


def test_the_verb_has_a_name_of_its_own(model: TrainedTranslator) -> None:
    assert model.translate(["abc", "fed"], num_best=2) == model.predict(["abc", "fed"], num_best=2)
    assert (model.plots, model.batch_size, model.pipe_batch_size) == ("asked", 64, 64)
