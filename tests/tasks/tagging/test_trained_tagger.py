"""A tagger in use: what it says of sentences however they are given, and of other files."""

from pathlib import Path

import pytest
import torch

from recurra.config import dump, resolve
from recurra.errors import DataError, RunError
from recurra.progress import Progress
from recurra.runs import RECIPE, Run
from recurra.tasks.tagging.data import Encoded, collate
from recurra.tasks.tagging.task import Tagging, TaggingRecipe
from recurra.tasks.tagging.trained import TrainedTagger
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
    description, files = task.describe()
    found.write_model(task.name, {**description, "data": task.fingerprint()}, files)
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


def test_other_sentences_are_judged_with_the_baselines_of_the_training_ones(run: Run, tmp_path: Path) -> None:
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
        TrainedTagger(Run(tiny_run))
