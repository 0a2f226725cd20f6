"""A tagger in use: sentences as texts, as token lists and in files, and evaluation on other files."""

from pathlib import Path

import pytest
import torch

from recurra.config import dump, resolve
from recurra.errors import DataError, RunError, UsageError
from recurra.metrics.spans import Span
from recurra.progress import Progress
from recurra.runs import RECIPE, Run
from recurra.tasks.tagging.data import Encoded, collate
from recurra.tasks.tagging.task import Tagging, TaggingRecipe
from recurra.tasks.tagging.trained import TaggedTokens, TrainedTagger
from recurra.tasks.task import describe, restore
from recurra.tasks.trained import Input
from recurra.training.loop import Training

TEXT = "the O\nred B-thing\nhouse I-thing\nof O\nAnn B-person\n\nAnn B-person\nruns O\n"


@pytest.fixture(params=[True, False], ids=["crf", "softmax"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """A run that has not been trained, of random weights."""
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.txt").write_text(TEXT)
    model = {"embedding_size": 5, "hidden_size": [7, 3], "crf": request.param}
    recipe = resolve(TaggingRecipe, {"data": {"path": str(tmp_path)}, "model": model}, {}, "test")
    torch.manual_seed(4)
    task = Tagging.start(recipe, Progress())
    for parameter in task.model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    found = Run(tmp_path / "run")
    found.write(RECIPE, dump(recipe))
    found.write_model(task.name, *describe(task))
    Training(task, found, Progress()).save()
    return found


def test_a_sentence_as_text_or_as_tokens_alone_or_among_others(run: Run) -> None:
    model = TrainedTagger(run)
    text, other = "the green house  runs ", "Ann"
    alone = model.predict([text])[0]
    assert alone.tokens == ["the", "green", "house", "runs"]
    assert len(alone.tags) == len(alone.probabilities) == 4
    first, second, third = model.predict([other, ["the", "green", "house", "runs"], "of the house of Ann the"])
    assert (second.tokens, second.tags, second.spans) == (alone.tokens, alone.tags, alone.spans)
    assert second.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
    assert (len(first.tags), len(third.tags)) == (1, 6)


def test_probabilities_are_those_of_the_tags_given_the_sentence(run: Run) -> None:
    model = TrainedTagger(run)
    tokens = ["Ann", "of", "the", "red", "runs"]
    found = model.predict([tokens])[0]
    encoded = Encoded(*model.task.lexicon.encode([tokens]), [])
    batch = collate(encoded._replace(tags=[encoded.words[0]]), torch.zeros(1, dtype=torch.int64).numpy())
    network, lengths = model.task.model, batch.tokens.lengths
    with torch.no_grad():
        scores = network(batch.tokens)
    expected = scores.softmax(2) if network.crf is None else network.crf.marginals(scores, lengths)
    best = network.decode(scores, lengths)[:, 0]
    assert found.tags == [model.labels[tag] for tag in best]
    assert found.probabilities == pytest.approx([float(expected[t, 0, tag]) for t, tag in enumerate(best)], abs=1e-6)
    for span in found.spans:
        assert found.tags[span.start] in (f"B-{span.type}", f"I-{span.type}")
        assert all(tag == f"I-{span.type}" for tag in found.tags[span.start + 1 : span.stop])


def test_nothing_to_tag(run: Run) -> None:
    model = TrainedTagger(run)
    assert model.predict([]) == []
    for sentences in (["", "Ann"], [[]], ["", " "]):
        empty = model.predict(sentences)[0]
        assert (empty.tokens, empty.tags, empty.spans, empty.probabilities) == ([], [], [], [])


def test_other_sentences_are_evaluated_beside_the_baselines(run: Run, tmp_path: Path) -> None:
    model = TrainedTagger(run)
    other = tmp_path / "new.txt"
    other.write_text("Ann B-person\nruns O\n\nruns B-person\n")
    found = model.evaluate(other)
    assert set(found) == {"model", "majority", "word", "linear", "mlp"}
    assert found["word"]["all"]["accuracy"] == pytest.approx(2 / 3)
    assert found["model"]["all"]["tokens"] == 3
    (tmp_path / "train.txt").unlink()
    assert set(model.evaluate(other)) == {"model"}
    with pytest.raises(DataError):
        model.evaluate()


def test_a_run_of_another_task(tiny_run: Path) -> None:
    with pytest.raises(RunError, match="of task language-modelling, expected tagging"):
        restore(Tagging, Run(tiny_run))


def test_one_sentence_instead_of_a_list(run: Run) -> None:
    with pytest.raises(UsageError, match=r"predict: expected a list, got one text; write predict\(\['Ann runs'\]\)"):
        TrainedTagger(run).predict("Ann runs")


def test_an_answer_as_text_json_and_table() -> None:
    found = TaggedTokens(["to", "New", "York"], ["O", "B-city", "I-city"], [Span("city", 1, 3)], [0.5, 0.25, 0.125])
    assert found.text == "O B-city I-city"
    assert found.as_json() == {
        "tokens": ["to", "New", "York"],
        "tags": ["O", "B-city", "I-city"],
        "spans": [{"type": "city", "start": 1, "stop": 3}],
        "probabilities": [0.5, 0.25, 0.125],
    }
    columns, rows, style = found.as_table()
    assert (columns, style) == (("token", "tag", "probability"), "table")
    assert rows == [("to", "O", "0.5000"), ("New", "B-city", "0.2500"), ("York", "I-city", "0.1250")]


def test_files_are_read_with_or_without_tags(run: Run, tmp_path: Path) -> None:
    model = TrainedTagger(run)
    tagged, lines, turned = tmp_path / "tagged.txt", tmp_path / "lines.txt", tmp_path / "turned.conll"
    tagged.write_text("Ann B-person\nruns O\n\nruns B-person\n")
    lines.write_text("Ann runs\n\nthe red house\n")
    turned.write_text("B-person Ann\nO runs\n")
    assert list(model.read_file(str(tagged), {}, Progress())) == [
        Input("Ann runs", ["Ann", "runs"]),
        Input("runs", ["runs"]),
    ]
    assert [one.value for one in model.read_file(str(lines), {}, Progress())] == [
        ["Ann", "runs"],
        [],
        ["the", "red", "house"],
    ]
    columns = {"token_column": 1, "tag_column": 0}
    assert [one.value for one in model.read_file(str(turned), columns, Progress())] == [["Ann", "runs"]]
    from_file, given = model.predict(list(model.read_file(str(tagged), {}, Progress()))), model.predict(["Ann runs"])
    assert from_file[0].tags == given[0].tags
