"""What tasks share in which a decoder with attention generates a text about a source: training, search, scores.

A task takes these functions as its methods: `loss = seq2seq.loss`. What differs between tasks stands in `Seq2SeqTask`.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from recurra.config import Section, TrainingOptions
from recurra.data.batches import CollatedBatches, bucket_by_length, longest_first, pad
from recurra.data.text.vocabulary import Vocabulary, collapse_spaces
from recurra.decoding.beam import BeamOptions, Hypothesis, Search, SearchInputs, build_search
from recurra.errors import UsageError
from recurra.lengths import IGNORE_INDEX
from recurra.metrics.texts import TextMetricOptions, TextScores, lowest_chrf_texts, text_scores
from recurra.models.decoder import EncoderDecoder
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.task import Metric, Scores, StepLoss, device_of_model, inference
from recurra.tasks.trained import Table

Ids = NDArray[np.int64]
Indices = NDArray[np.integer]

EVALUATION_BATCH = 64  # sources
MAX_VALIDATED = 1000  # examples whose texts are generated and scored after each epoch
NUM_SHOWN = 8  # examples of each split whose attention is kept
GREEDY = BeamOptions(beam_size=1)
END = "(end)"  # label of the end token in figures


class Seq2SeqTraining(TrainingOptions):
    """The `[training]` section."""

    batch_size: int = Field(64, ge=1, description="pairs in a batch, of similar lengths")
    select_by: Literal["auto", "bleu", "chrf", "exact", "loss"] = Field(
        "auto",
        description="metric on validation, of greedy texts, that selects the best epoch; auto is the share of exact "
        "matches where the unit is character, else chrf",
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="share of each target that is spread evenly over the vocabulary"
    )
    scheduled_sampling: float = Field(
        0.0, ge=0, le=1, description="share of target tokens that the decoder gets as predicted by itself"
    )


class DecodingOptions(Section):
    """The `[decoding]` section: the search for texts."""

    beam_size: int = Field(5, ge=1, description="hypotheses that the search keeps; 1: greedy search")
    length_penalty: float = Field(
        1.0, ge=0, description="0 prefers short texts, 1 is close to the mean log-probability of a token"
    )
    coverage_penalty: float = Field(0.0, ge=0, description="above 0 penalizes source positions without attention")
    max_tokens: int | None = Field(
        None, ge=1, description="maximum tokens of a text; by default more than any training text has"
    )
    bleu_tokenizer: Literal["13a", "intl", "char", "zh", "none"] = Field(
        "13a", description="tokenizer of sacrebleu: 13a for most languages, zh or char for those without spaces"
    )

    def search(self, num_best: int = 1) -> BeamOptions:
        """The options of the beam search."""
        return BeamOptions(max(self.beam_size, num_best), self.length_penalty, self.coverage_penalty, num_best)

    def given(self, num_best: int, **options: float | None) -> BeamOptions:
        """The same with given options; those that are None stay as they are.

        Raises:
            UsageError: a value outside its range.
        """
        chosen = {name: value for name, value in options.items() if value is not None}
        found = self.parse({**self.model_dump(), **chosen}, "decoding").search(num_best)
        found.check()
        return found


class SearchOptions(Section):
    """Options of `predict` that search for texts."""

    num_best: int = Field(1, ge=1, description="texts for each input")
    beam_size: int | None = Field(
        None, ge=1, description="hypotheses that the search keeps; 1: greedy search; by default that of the recipe"
    )
    length_penalty: float | None = Field(
        None, ge=0, description="0 prefers short texts, 1 is close to the mean; by default that of the recipe"
    )
    coverage_penalty: float | None = Field(
        None, ge=0, description="above 0 penalizes source positions without attention; by default that of the recipe"
    )

    def beam_options(self, decoding: DecodingOptions) -> BeamOptions:
        """Those of a recipe, changed by what is given here."""
        return decoding.given(
            self.num_best,
            beam_size=self.beam_size,
            length_penalty=self.length_penalty,
            coverage_penalty=self.coverage_penalty,
        )


class Batch(NamedTuple):
    """Some sources and their targets."""

    source: tuple[Tensor, ...]  # as the encoder reads it
    inputs: Tensor  # the token before each target token, (time, batch)
    targets: Tensor  # IGNORE_INDEX in the padding, (time, batch)

    @classmethod
    def of(cls, source: tuple[Tensor, ...], targets: Sequence[Ids], start: int) -> "Batch":
        """Targets, each with its end token, beside their sources.

        Args:
            source: as the encoder reads it.
            targets: tokens of each.
            start: id of the token before the first one.
        """
        tokens, _ = pad(targets, IGNORE_INDEX)
        return cls(source, torch.cat([torch.full_like(tokens[:1], start), tokens[:-1].clamp(min=0)]), tokens)

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(tuple(part.to(device) for part in self.source), self.inputs.to(device), self.targets.to(device))

    @property
    def num_tokens(self) -> int:
        """Number of target tokens, end tokens included."""
        return int((self.targets >= 0).sum())


class Sources(Protocol):
    """Sources of texts: token sequences, or images."""

    @property
    def lengths(self) -> Sequence[int]:
        """Length of each source; those of similar lengths are decoded together."""
        ...

    def __len__(self) -> int: ...

    def every(self, stride: int) -> "Sources":
        """Every `stride`-th source."""
        ...

    def tensors(self, indices: Indices) -> tuple[tuple[Tensor, ...], Tensor]:
        """Some sources as the encoder reads them, and their lengths, integer (sources,)."""
        ...


class EncodedExamples(Protocol):
    """Examples as the model reads them."""

    @property
    def sources(self) -> Sources:
        """The source of each example."""
        ...

    @property
    def sizes(self) -> Sequence[int]:
        """Size of each example for training; those of similar sizes share a batch."""
        ...

    def batch(self, indices: Indices) -> Batch:
        """Some examples side by side."""
        ...


class Seq2SeqTask(Protocol):
    """What these functions need of a task."""

    recipe: Any
    model: Any  # an EncoderDecoder
    splits: dict[str, list[Any]]
    encoded: dict[str, Any]  # EncodedExamples

    examples_name: str  # plural noun for the examples in reports, such as "pairs"
    attention_name: str  # key of the attention weights in the details of a report, such as "alignments"

    @property
    def target_vocabulary(self) -> Vocabulary:
        """The vocabulary of the generated texts."""
        ...

    @property
    def banned(self) -> int | None:
        """Id of the token that is never generated."""
        ...

    def encode(self, examples: Sequence[Any]) -> Any:
        """Examples as the model reads them."""
        ...

    def max_lengths(self, lengths: Tensor) -> Tensor:
        """Maximum tokens of the texts about sources of some lengths, integer (sources,)."""
        ...

    def text_of(self, example: Any, found: Hypothesis) -> str:
        """A hypothesis about an example as text."""
        ...

    def references_of(self, example: Any) -> Sequence[str]:
        """The correct texts about an example."""
        ...

    def describe_example(self, example: Any) -> Json:
        """An example in a list of errors, without its texts."""
        ...

    def attention_of(self, example: Any, found: Hypothesis) -> Json:
        """Attention weights of a hypothesis, with labels, as plain values."""
        ...


# --- metrics ---------------------------------------------------------------------------------------------------------


def primary_metric(task: Seq2SeqTask) -> Metric:
    """Exact matches of characters, BLEU of words; or the score that `training.select_by` names."""
    select_by = task.recipe.training.select_by
    default = "exact" if task.recipe.data.unit == "character" else "bleu"
    return Metric(default if select_by in ("auto", "loss") else select_by, higher_is_better=True)


def selection_metric(task: Seq2SeqTask) -> Metric:
    """`training.select_by`; auto is not BLEU, which is mostly noise while few words in a row are right."""
    select_by, primary = task.recipe.training.select_by, primary_metric(task)
    if select_by == "loss":
        return Metric("loss")
    return Metric("chrf", higher_is_better=True) if select_by == "auto" and primary.name == "bleu" else primary


def text_options(task: Seq2SeqTask) -> TextMetricOptions:
    """How texts are compared."""
    recipe = task.recipe
    return TextMetricOptions(recipe.data.lowercase, recipe.decoding.bleu_tokenizer, task.target_vocabulary.detokenized)


def scores(task: Seq2SeqTask, examples: Sequence[Any], outputs: Sequence[str]) -> TextScores:
    """Scores of outputs against the references of examples."""
    references = [[collapse_spaces(text) for text in task.references_of(one)] for one in examples]
    return text_scores([collapse_spaces(text) for text in outputs], references, text_options(task))


# --- training --------------------------------------------------------------------------------------------------------


def batches(task: Seq2SeqTask, epoch: int) -> CollatedBatches[Batch]:
    """Training examples in batches of similar sizes, shuffled differently in each epoch."""
    encoded, options = task.encoded["train"], task.recipe.training
    groups = bucket_by_length(encoded.sizes, options.batch_size, task.recipe.seed, epoch)
    return CollatedBatches(groups, encoded.batch)


def loss(task: Seq2SeqTask, batch: Batch, state: Any) -> StepLoss:  # noqa: ARG001
    """Mean cross entropy of the right token, nats, given the source and the right tokens before it."""
    batch, options, decoder = batch.to(device_of_model(task.model)), task.recipe.training, task.model.decoder
    start, inputs = task.model.encode(*batch.source), batch.inputs
    if options.scheduled_sampling:
        inputs = decoder.apply_scheduled_sampling(inputs, start, options.scheduled_sampling)
    features, _, _ = decoder(inputs, start)
    total = decoder.loss(features, batch.targets, options.label_smoothing)
    return StepLoss(total / batch.num_tokens, batch.num_tokens, None)


def mean_loss(model: EncoderDecoder, encoded: EncodedExamples, progress: Progress, title: str) -> float:
    """Mean cross entropy of the right token, nats, without label smoothing."""
    groups = longest_first(encoded.sizes, EVALUATION_BATCH)
    total, num_tokens = 0.0, 0
    with inference(model), progress.stage(title, len(groups)) as advance:
        for indices in groups:
            batch = encoded.batch(indices).to(device_of_model(model))
            features, _, _ = model.decoder(batch.inputs, model.encode(*batch.source))
            total += float(model.decoder.loss(features, batch.targets))
            num_tokens += batch.num_tokens
            advance(1)
    return total / num_tokens


def log_probabilities(task: Seq2SeqTask, example: Any) -> list[float]:
    """Log-probability of each right token of an example, that of the end token last, nats."""
    batch = task.encode([example]).batch(np.array([0])).to(device_of_model(task.model))
    with inference(task.model):
        features, _, _ = task.model.decoder(batch.inputs, task.model.encode(*batch.source))
        found = task.model.decoder.output(features).log_softmax(2)  # (time, 1, vocabulary)
    picked: list[float] = found.gather(2, batch.targets.unsqueeze(2)).flatten().tolist()
    return picked


# --- generation ------------------------------------------------------------------------------------------------------


def generate(
    task: Seq2SeqTask, sources: Sources, search: Search, progress: Progress, title: str = "generating"
) -> list[list[Hypothesis]]:
    """The best texts about each source, the best first."""
    found: dict[int, list[Hypothesis]] = {}
    groups, device = longest_first(sources.lengths, EVALUATION_BATCH), device_of_model(task.model)
    start = task.target_vocabulary.start_id  # it ends a text, too
    with inference(task.model), progress.stage(title, len(groups)) as advance:
        for indices in groups:
            source, lengths = sources.tensors(indices)
            max_lengths, lengths = task.max_lengths(lengths).to(device), lengths.to(device)
            state = task.model.encode(*(part.to(device) for part in source))
            lengths = torch.zeros_like(lengths) if state.memory is None else lengths
            inputs = SearchInputs(state, max_lengths, lengths, start, start, task.banned)
            found |= dict(zip(indices.tolist(), search(task.model.decoder, inputs), strict=True))
            advance(1)
    return [found[index] for index in range(len(sources))]


def texts_of(task: Seq2SeqTask, examples: Sequence[Any], found: Sequence[Sequence[Hypothesis]]) -> list[str]:
    """The best text about each example."""
    return [task.text_of(example, best[0]) for example, best in zip(examples, found, strict=True)]


# --- evaluation ------------------------------------------------------------------------------------------------------


def validate(task: Seq2SeqTask, progress: Progress) -> Scores:
    """Loss on the validation examples, and scores of greedy texts about at most MAX_VALIDATED of them."""
    examples, encoded = task.splits["valid"], task.encoded["valid"]
    mean, stride = mean_loss(task.model, encoded, progress, "validating"), -(-len(examples) // MAX_VALIDATED)
    found = generate(task, encoded.sources.every(stride), build_search(GREEDY), progress, "validating")
    return {"loss": mean, **scores(task, examples[::stride], texts_of(task, examples[::stride], found)).figures}


def evaluate_split(
    task: Seq2SeqTask, split: str, examples: Sequence[Any], encoded: Any, progress: Progress
) -> tuple[Scores, Json]:
    """Scores of the model on the examples of a split, and details for the evaluation page."""
    mean, sources = mean_loss(task.model, encoded, progress, f"evaluating {split}"), encoded.sources
    options = task.recipe.decoding.search()
    found = greedy = generate(task, sources, build_search(options), progress, f"generating {split}")
    if options.beam_size > 1:
        greedy = generate(task, sources, build_search(GREEDY), progress, f"generating {split} greedily")
    outputs = texts_of(task, examples, found)
    best, beside = scores(task, examples, outputs), scores(task, examples, texts_of(task, examples, greedy))
    metrics = {"loss": mean, **best.figures, "greedy_bleu": beside.figures["bleu"], task.examples_name: len(examples)}
    references, rows = [task.references_of(one) for one in examples], [task.describe_example(one) for one in examples]
    shown = zip(examples[:NUM_SHOWN], found, strict=False)
    details = {
        "signatures": best.signatures,
        "worst": lowest_chrf_texts(outputs, references, rows, text_options(task)),
        task.attention_name: [task.attention_of(example, hypotheses[0]) for example, hypotheses in shown],
    }
    return metrics, details


# --- answers ---------------------------------------------------------------------------------------------------------


class GeneratedText(NamedTuple):
    """One generated text."""

    text: str
    log_probability: float  # nats, of the whole text
    score: float  # texts about one source are ranked by it
    complete: bool  # False where the maximum length cut it off

    @classmethod
    def of(cls, text: str, found: Hypothesis) -> "GeneratedText":
        """A hypothesis as text."""
        return cls(text, found.log_probability, found.score, found.complete)

    @property
    def shown(self) -> str:
        """The text; marked where it was cut off."""
        return self.text if self.complete else f"{self.text} ... (cut off)"


def table_of(title: str, texts: Sequence[GeneratedText]) -> Table | None:
    """A row for each text with its score; None for a single text."""
    if len(texts) == 1:
        return None
    rows = [(one.shown, f"{one.score:.3f}", f"{one.log_probability:.2f}") for one in texts]
    return Table((title, "score", "log-probability"), rows)


def refuse_plot(run: object, attention: str) -> None:
    """Refuse to draw attention where the model has none.

    Raises:
        UsageError: `attention` is "none".
    """
    if attention == "none":
        raise UsageError(f"--plot: {run} has no attention, so there is nothing to draw; leave it out")
