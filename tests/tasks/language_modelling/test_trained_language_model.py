"""A trained language model in use, against its own logits."""

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import recurra
from noting import Notes
from recurra.errors import DataError, RunError, ShapeError, UsageError
from recurra.runs import WEIGHTS, Checkpoint, Run
from recurra.tasks.language_modelling.trained import GenerateOptions, Score, TrainedLanguageModel, printable
from recurra.tasks.task import check_samples
from recurra.tasks.trained import Input


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> TrainedLanguageModel:
    return recurra.load(tiny_run)


def log_probabilities(model: TrainedLanguageModel, text: str) -> list[float]:
    """Of each token, by one forward pass a prefix: slow and plain."""
    ids = [model.vocabulary.start_id, *model.vocabulary.encode(text)]
    result = []
    with torch.no_grad():
        for length in range(1, len(ids)):
            logits, _ = model.task.model(torch.tensor(ids[:length]).unsqueeze(1))
            result.append(float(logits[-1, 0].log_softmax(0)[ids[length]]))
    return result


def some_text(model: TrainedLanguageModel, tokens: int = 7) -> str:
    return model.vocabulary.decode([id % len(model.vocabulary) for id in range(2, 2 + tokens)])


def test_predict_is_the_softmax_in_falling_order(model: TrainedLanguageModel) -> None:
    text = some_text(model)
    (answer,) = model.predict([text], top=10**6)
    found = answer.next
    assert len(found) == len(model.vocabulary)
    assert sum(next_.probability for next_ in found) == pytest.approx(1, abs=1e-5)
    assert [n.probability for n in found] == sorted((n.probability for n in found), reverse=True)
    best = found[0]
    id = model.vocabulary.tokenizer.token_to_id(best.token)
    with torch.no_grad():
        logits, _ = model.task.model(
            torch.tensor([model.vocabulary.start_id, *model.vocabulary.encode(text)]).unsqueeze(1)
        )
    assert best.probability == pytest.approx(float(logits[-1, 0].softmax(0)[id]), abs=1e-6)


def test_score_is_the_sum_over_prefixes(model: TrainedLanguageModel) -> None:
    text = some_text(model)
    expected = log_probabilities(model, text)
    score = model.score(text)
    assert score.tokens == len(expected)
    assert score.log_probability == pytest.approx(sum(expected), abs=1e-4)
    assert score.perplexity == pytest.approx(math.exp(-sum(expected) / len(expected)), rel=1e-4)
    assert score.unknown == []


def test_score_names_unknown_words(model: TrainedLanguageModel) -> None:
    assert model.score(f"Quetzalcoatl {some_text(model)} zzz").unknown == ["Quetzalcoatl", "zzz"]


def test_evaluate_on_a_file_is_the_score_of_its_text(model: TrainedLanguageModel, tmp_path: Path) -> None:
    text = some_text(model, 9) + "\n"
    (tmp_path / "text.txt").write_text(text)
    metrics = model.evaluate(tmp_path / "text.txt")
    expected = -sum(log_probabilities(model, text))
    assert metrics["model"]["all"]["loss"] == pytest.approx(expected / 10, abs=1e-5)
    assert metrics["model"]["all"]["bits_per_character"] == pytest.approx(expected / math.log(2) / len(text), abs=1e-5)
    assert metrics["trigram"]["all"]["perplexity"] > 1


def test_evaluate_by_default_repeats_the_figures_of_the_run(model: TrainedLanguageModel) -> None:
    stored = model.run.read_json("metrics.json")
    again = model.evaluate()
    assert again["trigram"] == stored["trigram"]
    for split, values in again["model"].items():
        assert values == pytest.approx(stored["model"][split], rel=1e-6)


def test_evaluate_without_the_training_text_has_no_baselines(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "moved")
    recipe = tmp_path / "moved" / "recipe.toml"
    lines = [
        f'path = "{tmp_path}/gone.txt"' if line.startswith("path") else line for line in recipe.read_text().splitlines()
    ]
    recipe.write_text("\n".join(lines))
    moved = recurra.load(tmp_path / "moved")
    (tmp_path / "text.txt").write_text(some_text(moved))
    assert list(moved.evaluate(tmp_path / "text.txt")) == ["model"]
    with pytest.raises(DataError, match="gone"):
        moved.evaluate()


def test_generate_is_its_seed(model: TrainedLanguageModel) -> None:
    one, again, other = (model.generate("", length=30, seed=seed) for seed in (1, 1, 2))
    assert one == again != other


def test_generate_at_temperature_zero_follows_predict(model: TrainedLanguageModel) -> None:
    text = some_text(model, 3)
    ids = list(model.sample(text, GenerateOptions(length=4, temperature=0)))
    prefix = model.vocabulary.encode(text)
    for id in ids:
        most_probable = next(
            n.token for n in model.predict([model.vocabulary.decode(prefix)], top=2)[0].next if n.token != "<unk>"
        )
        assert model.vocabulary.token(id) == most_probable
        prefix = [*prefix, id]


def test_generate_never_samples_unknown(model: TrainedLanguageModel) -> None:
    assert model.vocabulary.unknown_id not in set(
        model.sample("", GenerateOptions(length=300, temperature=5.0, seed=1))
    )


def test_samples_stored_are_samples_computed(model: TrainedLanguageModel) -> None:
    assert check_samples(model.task, model.run) < 1e-5


def test_changed_weights_show_in_the_samples(tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "changed")
    run = Run(tmp_path / "changed")
    tensors, values = run.read_tensors(WEIGHTS)
    tensors["output.bias"][2] += 1
    run.write_tensors(WEIGHTS, Checkpoint(tensors, values))
    assert check_samples(recurra.load(run.folder).task, run) > 1e-3


def test_a_moved_run_predicts_the_same(model: TrainedLanguageModel, tiny_run: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "elsewhere")
    assert recurra.load(tmp_path / "elsewhere").predict([""], top=5) == model.predict([""], top=5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.predict([""], top=0), r"predict: top: expected .* 1, got 0"),
        (
            lambda model: model.predict("the cat"),
            r"expected a list, got one text; write predict\(\['the cat'\]\)",
        ),
        (lambda model: model.predict(["the"], length=3), "predict: length: unknown key; known: score, top"),
        (lambda model: model.generate("", length=0), r"generate: length: expected .* 1, got 0"),
        (lambda model: model.generate("", temperature=-1), r"temperature: expected .* 0, got -1"),
        (lambda model: model.generate("", temperature=math.inf), r"temperature: expected a finite number, got inf"),
        (lambda model: model.generate("", temperature=math.nan), r"temperature: expected a finite number, got nan"),
        (lambda model: model.generate("", top_k=0), r"top_k: expected .* 1, got 0"),
        (lambda model: model.generate("", top_p=0), r"top_p: expected .* 0, got 0"),
        (lambda model: model.generate("", top_p=1.5), r"top_p: expected .* 1, got 1.5"),
        (lambda model: model.generate("", seed=-1), r"seed: expected .* 0, got -1"),
        (
            lambda model: model.run_verb("generate", [""], {"length": 0}, None),
            r"generate: length: expected .* 1, got 0",
        ),
    ],
)
def test_impossible_arguments(model: TrainedLanguageModel, call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(model)


def test_each_text_has_its_next_tokens_and_unknown_words_are_noted(model: TrainedLanguageModel) -> None:
    notes = Notes()
    known, odd, blank = model.predict(["the cat", "the zebra zebra yak", ""], top=3, progress=notes)
    assert notes.lines == ["not in the vocabulary, read as <unk>: zebra yak"]
    assert [len(one.next) for one in (known, odd, blank)] == [3, 3, 3]
    assert known == model.predict(["the cat"], top=3)[0]
    assert known.text == known.next[0].token
    assert known.as_json()["text"] == "the cat"
    assert known.as_json()["next"][1] == {"token": known.next[1].token, "probability": known.next[1].probability}
    columns, rows, style = known.as_table()
    assert (columns, style) == (("the cat ...", "probability"), "table")
    assert rows[2] == (printable(known.next[2].token), f"{known.next[2].probability:.4f}")


def test_scores_of_texts_and_of_blank_ones(model: TrainedLanguageModel) -> None:
    notes = Notes()
    found, *blank, other = model.predict([some_text(model), "", "  ", "nobody yak"], score=True, progress=notes)
    assert notes.lines == []
    assert found == model.score(some_text(model))
    values = found.as_json()
    assert values == {"text": some_text(model), **{key: values[key] for key in Score._fields[1:]}}
    assert values["log_probability"] == found.log_probability
    assert [one.as_json() for one in blank] == [None, None]
    assert blank[0].as_table().rows == [("", "", "", "", "")]
    columns, (row,), style = other.as_table()
    assert (columns, style) == (("text", "log-probability", "perplexity", "tokens", "unknown"), "rows")
    assert row == ("nobody yak", f"{other.log_probability:.2f}", f"{other.perplexity:,.1f}", "2", "yak")


def test_generated_text_comes_in_pieces_after_its_prompt(model: TrainedLanguageModel) -> None:
    notes, options = Notes(), {"length": 12, "seed": 3}
    first, second = model.run_verb("generate", ["the cat", "a yak"], options, notes)
    assert notes.lines == ["not in the vocabulary, read as <unk>: yak"]
    expected = model.generate("the cat", **options)
    pieces = list(first.pieces())
    assert len(pieces) > 2
    assert "".join(pieces) == model.join("the cat", expected)
    assert "".join(pieces).startswith("the cat ")
    assert first.text == expected
    assert second.as_json() == {"prompt": "a yak", "text": model.generate("a yak", **options)}
    assert second.as_table() is None


def test_a_token_that_cannot_be_seen_stands_in_quotes() -> None:
    assert [printable(token) for token in (" ", "the", "\n", " the", "é")] == ["' '", "the", r"'\n'", "' the'", "é"]


def test_texts_of_a_file(model: TrainedLanguageModel, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("the cat\n\na bird\n")
    (tmp_path / "table.csv").write_text("id,text\n1,the dog\n2,nobody\n")
    lines, table = ([*model.read_file(str(tmp_path / name), {}, Notes())] for name in ("lines.txt", "table.csv"))
    assert lines == [Input("the cat", "the cat"), Input("", ""), Input("a bird", "a bird")]
    assert [one.value for one in table] == ["the dog", "nobody"]


def test_other_text_is_read_as_the_training_text(model: TrainedLanguageModel, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the cat\n")
    with pytest.raises(UsageError, match="lowercase: is fixed by the training"):
        model.evaluate(tmp_path / "text.txt", lowercase=True)


def test_nothing_to_score(model: TrainedLanguageModel) -> None:
    with pytest.raises(DataError, match="no tokens"):
        model.score("")


def test_run_of_an_unknown_task(tmp_path: Path) -> None:
    Run(tmp_path / "run").write_model("juggling", {}, {})
    with pytest.raises(RunError, match="juggling"):
        recurra.load(tmp_path / "run")


def test_stream_reads_token_by_token(model: TrainedLanguageModel) -> None:
    text = some_text(model)
    ids = model.vocabulary.encode(text)
    stream, expected = model.stream(), log_probabilities(model, text)
    for _ in range(2):
        found, before = [], stream.reset()
        for id in ids:
            found.append(float(before[id]))
            before = stream.step(id)
        assert found == pytest.approx(expected, abs=1e-5)
    kept, after = stream.state, stream.step(ids[0])
    stream.step(ids[1])
    stream.state = kept
    assert (stream.step(ids[0]) == after).all()


def test_streams_side_by_side_are_as_streams_alone(model: TrainedLanguageModel) -> None:
    ids = model.vocabulary.encode(some_text(model, 6))
    both, alone = model.stream(2), [model.stream(), model.stream()]
    for pair in zip(ids[:3], ids[3:], strict=True):
        found = both.step(pair)
        for row, stream, id in zip(found, alone, pair, strict=True):
            assert row == pytest.approx(stream.step(id), abs=1e-5)


def test_stream_refuses_other_shapes_and_ids(model: TrainedLanguageModel) -> None:
    stream = model.stream()
    with pytest.raises(UsageError, match=r"expected ids in 0 \.\. "):
        stream.step(len(model.vocabulary))
    with pytest.raises(ShapeError, match=r"expected integer ids of shape \(\)"):
        stream.step([1, 2])
    with pytest.raises(ShapeError, match="float64"):
        stream.step(1.5)
