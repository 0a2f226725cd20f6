"""What tasks share whose models write: a source of any kind is read, and a decoder writes a text about it."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from recurra.config import Section, TrainingOptions
from recurra.data.batches import CollatedBatches, bucket_by_length, longest_first, pad
from recurra.data.text.vocabulary import Vocabulary, collapse_spaces
from recurra.decoding.beam import BeamOptions, Hypothesis, Search, SearchInputs, build_search
from recurra.lengths import IGNORE_INDEX
from recurra.metrics.texts import TextMetricOptions, TextScores, lowest_chrf_texts, text_scores
from recurra.models.decoder import EncoderDecoder
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks.evaluation import inference
from recurra.tasks.supervised import Encoded, Example, JudgedTask
from recurra.tasks.task import Metric, Metrics, StepLoss

Ids = NDArray[np.int64]
Indices = NDArray[np.integer]

Sources = TypeVar("Sources", list[Ids], NDArray[Any])  # sequences of tokens, or pictures

JUDGED_AT_ONCE = 64  # sources
MOST_VALIDATED = 1000  # examples whose texts are scored after each epoch
NUM_SHOWN = 8  # examples of each split whose attention is kept
GREEDY = BeamOptions(beam_size=1)
END = "(end)"  # what pictures of attention call it


class WritingTraining(TrainingOptions):
    """The `[training]` section: the common one, and what counts."""

    batch_size: int = Field(64, ge=1, description="pairs side by side in a step, of about one length")
    select_by: Literal["auto", "bleu", "chrf", "exact", "loss"] = Field(
        "auto",
        description="metric on validation, of texts written greedily, that chooses the best epoch; auto is the share "
        "of exact matches where the unit is character, else chrf",
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of each target spread over all types evenly")
    scheduled_sampling: float = Field(
        0.0, ge=0, le=1, description="share of target tokens that a step is given as the model guesses them"
    )


class DecodingOptions(Section):
    """The `[decoding]` section: how texts are searched for."""

    beam: int = Field(5, ge=1, description="hypotheses under way; 1 takes the likeliest token each time")
    length_penalty: float = Field(1.0, ge=0, description="0 prefers short texts, 1 is nearly the mean")
    coverage_penalty: float = Field(0.0, ge=0, description="above 0 punishes source that nothing was read of")
    max_tokens: int | None = Field(
        None, ge=1, description="tokens of a text at the most; by default more than training needed for any"
    )
    bleu_tokenizer: Literal["13a", "intl", "char", "zh", "none"] = Field(
        "13a", description="how sacrebleu splits texts into words: 13a for most languages, zh or char without spaces"
    )

    def rules(self, num_best: int = 1) -> BeamOptions:
        """As the search takes them."""
        return BeamOptions(max(self.beam, num_best), self.length_penalty, self.coverage_penalty, num_best)

    def given(self, num_best: int, **options: float | None) -> BeamOptions:
        """The same with some options that are asked for, those that are None left as they are.

        Raises:
            UsageError: a value outside its range.
        """
        chosen = {name: value for name, value in options.items() if value is not None}
        found = self.parse({**self.model_dump(), **chosen}, "decoding").rules(num_best)
        found.check()
        return found


class Batch(NamedTuple):
    """Some sources and what is to be written of them."""

    source: tuple[Tensor, ...]  # as the model reads it
    inputs: Tensor  # what stands before each target token, (time, batch)
    targets: Tensor  # IGNORE_INDEX in the padding, (time, batch)

    @classmethod
    def of(cls, source: tuple[Tensor, ...], targets: Sequence[Ids], start: int) -> "Batch":
        """Targets, each with its end, beside their sources.

        Args:
            source: as the model reads it.
            targets: tokens of each.
            start: what stands before the first token.
        """
        tokens, _ = pad(targets, IGNORE_INDEX)
        return cls(source, torch.cat([torch.full_like(tokens[:1], start), tokens[:-1].clamp(min=0)]), tokens)

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(tuple(part.to(device) for part in self.source), self.inputs.to(device), self.targets.to(device))

    @property
    def num_tokens(self) -> int:
        """How many tokens are to be written, ends among them."""
        return int((self.targets >= 0).sum())


class Request(NamedTuple):
    """Some sources to be written about."""

    source: tuple[Tensor, ...]  # as the model reads it
    longest: Tensor  # tokens of each text at the most, integer (sources,)
    lengths: Tensor  # steps of each source, integer (sources,)

    def to(self, device: torch.device) -> "Request":
        """The same on a device."""
        return Request(tuple(part.to(device) for part in self.source), self.longest.to(device), self.lengths.to(device))


class Frame(NamedTuple):
    """What every text is written with."""

    start: int  # what stands before its first token
    end: int  # what ends it
    never: int | None  # what it never has


class WritingTask(JudgedTask[Example, Encoded], Generic[Example, Encoded, Sources]):
    """A task whose model writes texts: how it is trained, how it writes, and how its texts are judged.

    What the sources are, and how they are read, is said by the tasks of this kind.
    """

    item: ClassVar[str] = "token"
    examples: ClassVar[str]  # what they are called in reports, "pairs"
    shown: ClassVar[str]  # what the details of a report call what was read of sources, "alignments"

    recipe: Any
    model: EncoderDecoder

    @property
    @abstractmethod
    def target_vocabulary(self) -> Vocabulary:
        """The types of what is written."""

    @abstractmethod
    def sources_of(self, encoded: Encoded) -> Sources:
        """The source of each example, as `write` takes it."""

    @abstractmethod
    def sizes_of(self, encoded: Encoded) -> Sequence[int]:
        """By what batches are made: what is of about one size costs little padding."""

    @abstractmethod
    def collate(self, encoded: Encoded, indices: Indices) -> Batch:
        """Some examples side by side."""

    @abstractmethod
    def lengths_of(self, sources: Sources) -> Sequence[int]:
        """Length of each source: those of about one length are written about side by side."""

    @abstractmethod
    def request(self, sources: Sources, indices: Indices) -> Request:
        """Some of the sources, and how long the texts about them may be."""

    @property
    @abstractmethod
    def frame(self) -> Frame:
        """What every text is written with."""

    @abstractmethod
    def text_of(self, example: Example, found: Hypothesis) -> str:
        """What was written about an example, as text."""

    @abstractmethod
    def references_of(self, example: Example) -> Sequence[str]:
        """The texts that are right about an example."""

    @abstractmethod
    def told_of(self, example: Example) -> Json:
        """What a page says of an example beside its texts."""

    @abstractmethod
    def reading(self, example: Example, found: Hypothesis) -> Json:
        """What was read of a source for each token of its text, as plain values."""

    @property
    def primary_metric(self) -> Metric:
        """Exact matches of characters, BLEU of words; or the score that the recipe names."""
        select_by = self.recipe.training.select_by
        usual = "exact" if self.recipe.data.unit == "character" else "bleu"
        return Metric(usual if select_by in ("auto", "loss") else select_by, higher_is_better=True)

    @property
    def selection_metric(self) -> Metric:
        """As the recipe names it; by itself not BLEU, which is noise while few words are right in a row."""
        select_by = self.recipe.training.select_by
        if select_by == "loss":
            return Metric("loss")
        return (
            Metric("chrf", True) if select_by == "auto" and self.primary_metric.name == "bleu" else self.primary_metric
        )

    @property
    def rules(self) -> TextMetricOptions:
        """How texts are compared."""
        return TextMetricOptions(
            self.recipe.data.lowercase, self.recipe.decoding.bleu_tokenizer, self.target_vocabulary.detokenized
        )

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.decoder.output.weight.device

    def batches(self, epoch: int) -> CollatedBatches[Batch]:
        """Training examples in batches of about one size, in an order of the epoch's own."""
        encoded = self.encoded["train"]
        groups = bucket_by_length(self.sizes_of(encoded), self.recipe.training.batch_size, self.recipe.seed, epoch)
        return CollatedBatches(groups, partial(self.collate, encoded))

    def loss(self, batch: Batch, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean nats of the right token, given the source and the right tokens before it."""
        batch, options, decoder = batch.to(self.device), self.recipe.training, self.model.decoder
        start, inputs = self.model.encode(*batch.source), batch.inputs
        if options.scheduled_sampling:
            inputs = decoder.apply_scheduled_sampling(inputs, start, options.scheduled_sampling)
        features, _, _ = decoder(inputs, start)
        total = decoder.loss(features, batch.targets, options.label_smoothing)
        return StepLoss(total / batch.num_tokens, batch.num_tokens, None)

    @staticmethod
    def describe_loss(loss: float) -> str:
        """Nats of the right token."""
        return f"loss {loss:.3f}"

    def nats(self, encoded: Encoded, progress: Progress, title: str) -> float:
        """Mean nats of the right token, without smoothing."""
        groups = longest_first(self.sizes_of(encoded), JUDGED_AT_ONCE)
        total, num_tokens = 0.0, 0
        with inference(self.model), progress.stage(title, len(groups)) as advance:
            for indices in groups:
                batch = self.collate(encoded, indices).to(self.device)
                features, _, _ = self.model.decoder(batch.inputs, self.model.encode(*batch.source))
                total += float(self.model.decoder.loss(features, batch.targets))
                num_tokens += batch.num_tokens
                advance(1)
        return total / num_tokens

    def log_probabilities(self, example: Example) -> list[float]:
        """Nats of each right token about an example, its end the last."""
        batch = self.collate(self.encode([example]), np.array([0])).to(self.device)
        with inference(self.model):
            features, _, _ = self.model.decoder(batch.inputs, self.model.encode(*batch.source))
            found = self.model.decoder.output(features).log_softmax(2)  # (time, 1, types)
        picked: list[float] = found.gather(2, batch.targets.unsqueeze(2)).flatten().tolist()
        return picked

    def write(
        self, sources: Sources, search: Search, progress: Progress, title: str = "writing"
    ) -> list[list[Hypothesis]]:
        """The best texts about each source."""
        found: dict[int, list[Hypothesis]] = {}
        groups = longest_first(self.lengths_of(sources), JUDGED_AT_ONCE)
        with inference(self.model), progress.stage(title, len(groups)) as advance:
            for indices in groups:
                source, longest, lengths = self.request(sources, indices).to(self.device)
                state = self.model.encode(*source)
                lengths = torch.zeros_like(lengths) if state.memory is None else lengths
                written = search(self.model.decoder, SearchInputs(state, longest, lengths, *self.frame))
                found |= dict(zip(indices.tolist(), written, strict=True))
                advance(1)
        return [found[index] for index in range(len(sources))]

    def scores(self, examples: Sequence[Example], outputs: Sequence[str]) -> TextScores:
        """How close outputs come to the texts that are right."""
        references = [[collapse_spaces(text) for text in self.references_of(one)] for one in examples]
        return text_scores([collapse_spaces(text) for text in outputs], references, self.rules)

    def texts_of(self, examples: Sequence[Example], found: Sequence[Sequence[Hypothesis]]) -> list[str]:
        """The best text about each example."""
        return [self.text_of(example, best[0]) for example, best in zip(examples, found, strict=True)]

    def validate(self, progress: Progress) -> Metrics:
        """Loss on the validation examples, and scores of greedy texts about so many of them."""
        examples, encoded = self.splits["valid"], self.encoded["valid"]
        loss, stride = self.nats(encoded, progress, "validating"), -(-len(examples) // MOST_VALIDATED)
        found = self.write(self.sources_of(encoded)[::stride], build_search(GREEDY), progress, "validating")
        return {"loss": loss, **self.scores(examples[::stride], self.texts_of(examples[::stride], found)).figures}

    def judge_split(
        self, split: str, examples: Sequence[Example], encoded: Encoded, progress: Progress
    ) -> tuple[Metrics, Json]:
        """Scores of the model on the examples of a split, and what a page is drawn from."""
        loss, sources = self.nats(encoded, progress, f"evaluating {split}"), self.sources_of(encoded)
        rules = self.recipe.decoding.rules()
        found = greedy = self.write(sources, build_search(rules), progress, f"writing {split}")
        if rules.beam_size > 1:
            greedy = self.write(sources, build_search(GREEDY), progress, f"writing {split} greedily")
        outputs = self.texts_of(examples, found)
        scores, beside = self.scores(examples, outputs), self.scores(examples, self.texts_of(examples, greedy))
        metrics = {"loss": loss, **scores.figures, "greedy_bleu": beside.figures["bleu"], self.examples: len(examples)}
        references, told = [self.references_of(one) for one in examples], [self.told_of(one) for one in examples]
        shown = zip(examples[:NUM_SHOWN], found, strict=False)
        details = {
            "signatures": scores.signatures,
            "worst": lowest_chrf_texts(outputs, references, told, self.rules),
            self.shown: [self.reading(example, best[0]) for example, best in shown],
        }
        return metrics, details
