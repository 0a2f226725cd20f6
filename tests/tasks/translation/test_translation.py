"""Translation as a task: that it learns, judges fairly, comes back from its folder, and refuses bad pairs."""

import random
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu
import torch

import recurra
from noting import Notes
from recurra.config import resolve
from recurra.data.text.pairs import Pair
from recurra.decoding.beam import BeamOptions, Hypothesis, build_search
from recurra.errors import DataError, UsageError
from recurra.progress import Progress
from recurra.runs import Run
from recurra.tasks import seq2seq
from recurra.tasks.task import check_samples
from recurra.tasks.translation.data import TextSources, encode
from recurra.tasks.translation.task import Translation, TranslationRecipe
from recurra.tasks.translation.trained import TrainedTranslator
from trained import trained

ENGLISH = {"eins": "one", "zwei": "two", "drei": "three", "vier": "four", "fünf": "five", "und": "and"}
TINY = {"embedding_size": 7, "hidden_size": [6], "encoder_size": [5]}
SILENT = dict.fromkeys(["dropout", "embedding_dropout", "output_dropout", "memory_dropout"], 0.0)


def write_pairs(folder: Path, counts: tuple[int, int, int] = (60, 20, 23)) -> Path:
    """Numbers in German, and in English from the last to the first: no word by word and in order helps."""
    folder.mkdir(exist_ok=True)
    draw = random.Random(3)
    for split, count in zip(("train", "val", "test"), counts, strict=True):
        german = [[draw.choice(list(ENGLISH)) for _ in range(draw.randint(2, 5))] for _ in range(count)]
        english = [[ENGLISH[word] for word in reversed(words)] for words in german]
        for ending, lines in (("de", german), ("en", english)):
            text = "".join(f"{' '.join(words)}\n" for words in lines)
            (folder / f"{split}.{ending}").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "numbers")


def recipe_of(path: Path, model: dict[str, Any], training: dict[str, Any], data: dict[str, Any]) -> TranslationRecipe:
    sides = {"path": str(path), "source": "de", "target": "en", "unit": "word"}
    values = {"data": sides | data, "model": {**TINY, **SILENT, **model}, "training": training}
    return resolve(TranslationRecipe, values, {}, "test")


def start(path: Path, progress: Progress | None = None, **options: Any) -> Translation:
    torch.manual_seed(2)
    parts = {section: options.get(section, {}) for section in ("model", "training", "data")}
    parts["training"] = {"batch_size": 6, **parts["training"]}
    return Translation.start(recipe_of(path, **parts), progress or Progress())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained translator."""
    path = write_pairs(tmp_path_factory.mktemp("trained") / "numbers", (700, 40, 45))
    model = {"embedding_size": 24, "hidden_size": [32], "encoder_size": [16]}
    training = {"batch_size": 16, "epochs": 7, "learning_rate": 0.01, "schedule": "constant", "label_smoothing": 0.05}
    return trained(recipe_of(path, model, training, {}), path.parent)


def test_learns_what_needs_attention_and_order(run: Path) -> None:
    metrics = Run(run).read_json("metrics.json")
    assert set(metrics) == {"model", "copy", "word_by_word", "training"}
    found = metrics["model"]["test"]
    assert found["exact"] > 0.9
    assert found["bleu"] > 95
    assert metrics["copy"]["test"]["exact"] == 0
    assert metrics["word_by_word"]["test"]["exact"] < 0.3
    assert metrics["word_by_word"]["test"]["chrf"] > metrics["copy"]["test"]["chrf"]
    history = Run(run).read_rows("history.jsonl")
    assert max(row["valid_bleu"] for row in history) == pytest.approx(metrics["model"]["valid"]["greedy_bleu"])


def test_it_reads_the_word_that_it_translates(run: Path) -> None:
    (found,) = TrainedTranslator(Run(run)).translate(["eins vier drei und"])
    assert found.text == "and three four one"
    assert found.alignment["source"] == ["eins", "vier", "drei", "und", "(end)"]
    assert found.alignment["target"] == ["and", "three", "four", "one", "(end)"]
    assert np.argmax(found.alignment["weights"], 1).tolist()[:4] == [3, 2, 1, 0]


def test_a_loaded_run_translates_the_same(run: Path) -> None:
    model = TrainedTranslator(Run(run))
    assert check_samples(model.task, model.run) < 1e-5
    assert model.evaluate()["model"] == Run(run).read_json("metrics.json")["model"]


def test_scores_are_those_of_sacrebleu(run: Path) -> None:
    model = TrainedTranslator(Run(run))
    model.task.set_data(model.task.read_data(Progress()))
    pairs = model.task.splits["test"]
    outputs = [found.text for found in model.translate([pair.source for pair in pairs])]
    references = [[pair.target for pair in pairs]]
    metrics = Run(run).read_json("metrics.json")["model"]["test"]
    assert metrics["bleu"] == pytest.approx(sacrebleu.corpus_bleu(outputs, references).score)
    assert metrics["chrf"] == pytest.approx(sacrebleu.corpus_chrf(outputs, references).score)
    exact = sum(output == pair.target for output, pair in zip(outputs, pairs, strict=True))
    assert metrics["exact"] == exact / len(pairs)
    details = Run(run).read_json("evaluation.json")["test"]
    assert "tok:13a" in details["signatures"]["bleu"]
    assert len(details["alignments"]) == 8
    wrong = [row for row in details["worst"] if row["output"] != row["target"]]
    assert len(wrong) == len(pairs) - exact


def test_several_translations_are_ranked_and_their_own(run: Path) -> None:
    model = TrainedTranslator(Run(run))
    (found,) = model.translate(["zwei und vier"], num_best=4)
    scores = [one.score for one in found.texts]
    assert len({one.text for one in found.texts}) == 4
    assert scores == sorted(scores, reverse=True)
    for one in found.texts:
        outputs = model.task.outputs_of({"source": "zwei und vier", "target": one.text})
        assert sum(outputs) == pytest.approx(one.log_probability, abs=1e-4)


def test_other_data_is_judged_beside_its_baselines(run: Path, tmp_path: Path) -> None:
    (tmp_path / "more.de").write_text("eins zwei\nvier und\n")
    (tmp_path / "more.en").write_text("two one\nand four\n")
    found = TrainedTranslator(Run(run)).evaluate(tmp_path / "more.de")
    assert found["model"]["all"]["exact"] == 1
    assert found["copy"]["all"]["exact"] == 0
    assert found["model"]["all"]["pairs"] == 2


def test_draws_are_repeatable_and_cold_ones_greedy(run: Path) -> None:
    model, sources = TrainedTranslator(Run(run)), ["eins und zwei", "drei"] * 3
    one, other = (model.predict(sources, sample=True, temperature=2.5, seed=4) for _ in range(2))
    assert [found.text for found in one] == [found.text for found in other]
    assert [found.text for found in model.predict(sources, sample=True, temperature=2.5, seed=5)] != [
        found.text for found in one
    ]
    cold, greedy = model.predict(sources, sample=True, temperature=0), model.translate(sources, beam_size=1)
    assert [found.text for found in cold] == [found.text for found in greedy]


def test_batches_change_no_translation(folder: Path) -> None:
    task = start(folder, model={"cell": "lstm"})
    for parameter in task.model.parameters():
        torch.nn.init.normal_(parameter, std=0.8)
    sources = task.encoded["test"].sources
    for search in (build_search(BeamOptions(1)), build_search(task.recipe.decoding.search(2))):
        together = seq2seq.generate(task, sources, search, Progress())
        for index in (0, 5, 11):
            (alone,) = seq2seq.generate(task, TextSources([sources.ids[index]]), search, Progress())
            assert [one.tokens for one in alone] == [one.tokens for one in together[index]]
            scores = [one.score for one in together[index]]
            assert [one.score for one in alone] == pytest.approx(scores, rel=1e-5)


def test_a_resumed_run_ends_in_the_same_weights(folder: Path, tmp_path: Path) -> None:
    options = {"data": {"path": str(folder), "source": "de", "target": "en", "unit": "word"}, "epochs": 2, **TINY}
    options |= {"batch_size": 6, "scheduled_sampling": 0.3, "input_feeding": True, "word_dropout": 0.1}
    whole = recurra.train("translation", run=tmp_path / "whole", progress=Progress(), **options)
    parts = recurra.train("translation", run=tmp_path / "parts", progress=Progress(), steps=13, **options)
    recurra.resume(parts, progress=Progress(), steps=None)
    one, other = (Run(folder).read_tensors("last/checkpoint.safetensors").tensors for folder in (whole, parts))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_loss_is_a_mean_over_tokens_with_their_ends(folder: Path) -> None:
    task = start(folder)
    found = task.loss(task.batches(0)[1], None)
    pairs = [task.splits["train"][index] for index in task.batches(0).groups[1]]
    assert found.num_items == sum(len(pair.target.split()) + 1 for pair in pairs)
    valid = [{"source": pair.source, "target": pair.target} for pair in task.splits["valid"]]
    nats = [value for sample in valid for value in task.outputs_of(sample)]
    assert task.validate(Progress())["loss"] == pytest.approx(-np.mean(nats), rel=1e-5)


def test_smoothing_is_of_training_alone(folder: Path) -> None:
    plain, smooth = start(folder, training={"label_smoothing": 0.0}), start(folder, training={"label_smoothing": 0.4})
    batch = plain.batches(0)[0]
    assert plain.loss(batch, None).mean.item() != pytest.approx(smooth.loss(batch, None).mean.item(), rel=1e-3)
    assert plain.validate(Progress())["loss"] == pytest.approx(smooth.validate(Progress())["loss"])


def test_untrained_it_predicts_each_token_by_its_frequency(folder: Path) -> None:
    task = start(folder)
    with torch.no_grad():
        task.model.decoder.output.weight.zero_()
    (log_probability, *_) = task.outputs_of({"source": "eins", "target": "and"})
    targets = np.concatenate(task.encoded["train"].targets)
    (id, _) = task.vocabularies.target.encode_line("and")
    expected = ((targets == id).sum() + 1) / (len(targets) + len(task.vocabularies.target))
    assert log_probability == pytest.approx(np.log(expected), rel=1e-5)


@pytest.mark.parametrize("unit", ["word", "character", "bpe"])
@pytest.mark.parametrize("joint", [False, True])
def test_texts_come_back_from_their_tokens(unit: str, joint: bool, folder: Path) -> None:
    size = 300 if unit == "bpe" else None
    task = start(folder, data={"unit": unit, "joint_vocabulary": joint, "vocabulary_size": size})
    for pair in task.splits["test"]:
        ids = task.vocabularies.target.encode_line(f"  {pair.target} ")
        assert ids[-1] == task.vocabularies.target.start_id
        assert task.text_of(pair, Hypothesis(ids[:-1].tolist(), 0, 0, torch.zeros(0, 0), True)) == pair.target
    assert (task.vocabularies.source is task.vocabularies.target) == joint


def test_inputs_are_the_targets_one_step_later(folder: Path) -> None:
    task = start(folder)
    pairs = [Pair("eins", "one two three", ""), Pair("zwei drei", "four", "")]
    encoded = encode(pairs, task.vocabularies)
    batch = encoded.batch(np.array([0, 1]))
    end, first, second = task.vocabularies.target.start_id, encoded.targets[0].tolist(), encoded.targets[1].tolist()
    assert batch.source[1].tolist() == [2, 3]
    assert batch.targets[:, 0].tolist() == first
    assert batch.inputs[:, 0].tolist() == [end, *first[:-1]]
    assert batch.targets[:, 1].tolist() == [*second, -1, -1]
    assert batch.inputs[:2, 1].tolist() == [end, second[0]]


def test_what_was_read_belongs_to_the_source_whatever_it_is_batched_with(folder: Path) -> None:
    task = start(folder)
    for parameter in task.model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    unknown = task.vocabularies.target.unknown_id
    with torch.no_grad():
        task.model.decoder.output.bias[unknown] += 20  # whatever it writes is unknown, so taken from the source
    texts = ["Köln", "eins zwei drei vier fünf und eins zwei", "Rom und Bonn"]
    sources = TextSources([task.vocabularies.source.encode_line(text) for text in texts])
    for rules in (BeamOptions(1), BeamOptions(4)):
        together = seq2seq.generate(task, sources, build_search(rules), Progress())
        for text, source, (found, *_) in zip(texts, sources.ids, together, strict=True):
            assert unknown in found.tokens
            assert found.attention.shape[1] == len(source) == len(text.split()) + 1
            torch.testing.assert_close(found.attention.sum(1), torch.ones(len(found.attention)))
            ((alone, *_),) = seq2seq.generate(task, TextSources([source]), build_search(rules), Progress())
            assert task.text_of(Pair(text, "", ""), found) == task.text_of(Pair(text, "", ""), alone)
            assert "<unk>" not in task.text_of(Pair(text, "", ""), found)
            shown = task.attention_of(Pair(text, "", ""), found)
            assert len(shown["source"]) == len(shown["weights"][0])
            assert len(shown["target"]) == len(shown["weights"])


def test_white_space_counts_as_one_space(folder: Path) -> None:
    task = start(folder, data={"unit": "character"})
    one, other = (task.vocabularies.source.encode_line(text).tolist() for text in ("eins zwei", " eins \t\n zwei "))
    assert one == other
    found = Hypothesis([], 0, 0, torch.zeros(1, len(one)), True)
    assert len(task.attention_of(Pair(" eins \t zwei", "", ""), found)["source"]) == len(one)
    assert seq2seq.scores(task, [Pair("a", "one  two", "")], [" one two"]).figures["exact"] == 1


def test_one_vocabulary_is_needed_to_tie_all(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"tie_embeddings = all together with data\.joint"):
        start(folder, model={"tie_embeddings": "all"})
    task = start(folder, model={"tie_embeddings": "all"}, data={"joint_vocabulary": True})
    assert task.model.encoder.embedding.weight is task.model.decoder.output.weight


def test_translations_may_be_as_long_as_training_targets(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("".join(f"{letter}\t{letter * 60}\n" for letter in string.ascii_letters))
    sides = {"source": None, "target": None, "unit": "character"}
    task = start(tmp_path / "long.txt", data=sides)
    assert task.max_lengths(torch.tensor([2, 40])).tolist() == [61, 100]
    options = {"data": {"path": str(tmp_path / "long.txt"), "unit": "character"}, "decoding": {"max_tokens": 7}}
    short = Translation.start(resolve(TranslationRecipe, options, {}, "test"), Progress())
    sources = TextSources([short.vocabularies.source.encode_line("a")])
    (found,) = seq2seq.generate(short, sources, build_search(BeamOptions(2)), Progress())
    assert len(found[0].tokens) <= 7


def test_a_small_vocabulary_keeps_the_end(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("".join(f"abcde{n}\tedcba{n}\n" for n in range(80)))
    data = {"source": None, "target": None, "unit": "character", "vocabulary_size": 4}
    task = start(tmp_path / "pairs.txt", data=data)
    assert len(task.vocabularies.target) == 4
    assert task.vocabularies.target.start_id != task.vocabularies.target.unknown_id


@pytest.mark.parametrize("beam", [1, 3])
def test_evaluation_judges_what_translate_writes(beam: int, folder: Path) -> None:
    task = start(folder)
    for parameter in task.model.parameters():
        torch.nn.init.normal_(parameter, std=1)
    task.recipe = resolve(TranslationRecipe, task.recipe.model_dump(), {"decoding.beam_size": beam}, "test")
    pairs = task.splits["test"]
    metrics, _ = task.evaluate({"test": pairs}, Progress())
    rules = task.recipe.decoding.given(1, beam_size=None)
    assert rules.beam_size == beam
    found = seq2seq.generate(task, task.encoded["test"].sources, build_search(rules), Progress())
    assert metrics["test"]["chrf"] == seq2seq.scores(task, pairs, seq2seq.texts_of(task, pairs, found)).figures["chrf"]
    assert (metrics["test"]["bleu"] == metrics["test"]["greedy_bleu"]) or beam > 1


def test_bleu_of_languages_without_spaces(folder: Path) -> None:
    task = start(folder)
    pairs, outputs = [Pair("a", "今天天气很好我们去公园", "")], ["今天天气很好我们去学校"]
    assert seq2seq.scores(task, pairs, outputs).figures["bleu"] == 0
    task.recipe = resolve(TranslationRecipe, task.recipe.model_dump(), {"decoding.bleu_tokenizer": "zh"}, "test")
    found = seq2seq.scores(task, pairs, outputs)
    assert found.figures["bleu"] == pytest.approx(
        sacrebleu.corpus_bleu(outputs, [[pairs[0].target]], tokenize="zh").score
    )
    assert found.figures["bleu"] > 50
    assert "tok:zh" in found.signatures["bleu"]


def test_coverage_needs_attention(folder: Path) -> None:
    task = start(folder, model={"attention": "none"})
    with pytest.raises(UsageError, match="coverage_penalty: expected 0 without attention"):
        seq2seq.generate(
            task,
            TextSources(task.encoded["test"].sources.ids[:2]),
            build_search(BeamOptions(3, coverage_penalty=0.2)),
            Progress(),
        )


def test_unknown_words_are_replaced_by_what_was_read(folder: Path) -> None:
    task = start(folder)
    unknown, (word, _) = task.vocabularies.target.unknown_id, task.vocabularies.target.encode_line("and")
    read = torch.tensor([[0.2, 0.7, 0.1], [0.5, 0.2, 0.3], [0.3, 0.1, 0.6], [1.0, 0.0, 0.0]])
    found, pair = Hypothesis([unknown, int(word), unknown], 0, 0, read, True), Pair("Köln Rom", "", "")
    assert task.text_of(pair, found) == "Rom and Köln"  # the largest weight of the last is that of the end
    plain = start(folder, model={"attention": "none"})
    assert plain.text_of(pair, found._replace(attention=torch.zeros(4, 0))) == "<unk> and <unk>"
    plain.model.decoder.output.bias.data[unknown] = 20
    ((best, *_),) = seq2seq.generate(
        plain, TextSources(plain.encoded["test"].sources.ids[:1]), build_search(BeamOptions(1)), Progress()
    )
    assert unknown not in best.tokens
    folded = start(folder, data={"lowercase": True})
    assert folded.text_of(pair._replace(source="KÖLN Rom"), found) == "Rom and KÖLN"


def test_pairs_beyond_the_limits_are_left_out_of_training_alone(folder: Path) -> None:
    notes = Notes()
    long = sum(len(line.split()) > 4 for line in (folder / "train.de").read_text().splitlines())
    task = start(folder, notes, data={"max_length": 4})
    assert notes.lines == [f"{long} of 60 training pairs are left out: longer than 4"]
    assert len(task.splits["train"]) == 60 - long
    assert (len(task.splits["valid"]), len(task.splits["test"])) == (20, 23)
    with pytest.raises(DataError, match="no training pair is within max_length and ratio"):
        start(folder, data={"max_length": 1})


def test_check_tells_lengths_leaks_and_unknown_words(folder: Path) -> None:
    sources = (folder / "train.de").read_text().splitlines()
    (folder / "test.de").write_text("\n".join([sources[0], *["sieben acht"] * 22]) + "\n")
    english = (folder / "test.en").read_text().splitlines()
    (folder / "test.en").write_text("\n".join([*english[:-1], "sieben acht"]) + "\n")
    found = Translation.check(recipe_of(folder, {}, {}, {}), Progress())
    assert found["splits"]["train"]["pairs"] == 60
    assert found["splits"]["train"]["source longest"] == 5
    leak, *_ = [text for text in found["problems"] if "in train too: 1 source of test" in text]
    assert f"{folder / 'test.de'} line 1" in leak
    assert any("target as source: 1 pair of test" in text for text in found["problems"])
    assert any("of the source tokens of test are unknown" in text for text in found["problems"])


def test_texts_that_cannot_be_translated(run: Path) -> None:
    model = TrainedTranslator(Run(run))
    with pytest.raises(DataError, match="text 2 of 3: empty"):
        model.translate(["eins", "  ", "zwei"])
    with pytest.raises(UsageError, match="expected a list, got one text"):
        model.translate("eins")
    for option in ({"beam_size": 0}, {"num_best": 0}, {"length_penalty": -1.0}):
        with pytest.raises(UsageError, match=next(iter(option))):
            model.translate(["eins"], **option)
    (found,) = model.translate([" ".join(["eins"] * 60)])  # far longer than any seen
    assert found.text
    (found,) = model.translate(["Kraut zwei"])
    assert found.unknown == ["Kraut"]


@pytest.mark.parametrize("select_by", ["bleu", "chrf", "exact", "loss"])
def test_any_score_may_choose_the_best_epoch(select_by: str, folder: Path) -> None:
    task = start(folder, training={"select_by": select_by})
    assert task.selection_metric.name == select_by
    assert task.primary_metric.name == ("bleu" if select_by == "loss" else select_by)
    assert task.primary_metric.higher_is_better
    assert {"loss", "bleu", "chrf", "exact"} == task.validate(Progress()).keys()


@pytest.mark.parametrize(("unit", "primary", "selection"), [("word", "bleu", "chrf"), ("character", "exact", "exact")])
def test_primary_and_selection_metric_suit_the_unit(unit: str, primary: str, selection: str, folder: Path) -> None:
    """BLEU is noise while few words are right in a row."""
    task = start(folder, data={"unit": unit})
    assert task.primary_metric == (primary, True)
    assert task.selection_metric == (selection, True)


def test_test_files_are_those_of_the_data_they_stand_in(folder: Path, tmp_path: Path) -> None:
    for ending in ("de", "en"):
        (folder / f"test.{ending}").rename(folder / f"test_2016.{ending}")
    write_pairs(tmp_path / "numbers-2017", (1, 1, 9))
    for ending in ("de", "en"):
        (tmp_path / "numbers-2017" / f"test.{ending}").rename(folder / f"test_2017.{ending}")
    task = start(folder, data={"test_files": "test_2016"})
    assert len(task.splits["test"]) == 23

    def counts(**layout: str) -> dict[str, int]:
        return {split: len(pairs) for split, pairs in task.read_held_out(folder, layout, Progress()).items()}

    assert counts() == {"valid": 20, "test": 32}
    assert counts(test_files="test_2017") == {"valid": 20, "test": 9}
    (pair, *_), turned = task.splits["valid"], {"source": "en", "target": "de"}
    other = task.read_held_out(folder, turned, Progress())["valid"][0]
    assert (other.source, other.target) == (pair.target, pair.source)
