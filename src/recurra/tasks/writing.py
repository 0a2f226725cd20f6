"""What tasks share whose models write: a source of any kind is read, and a decoder writes a text about it."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from recurra.config import Section, TrainingOptions
from recurra.data.buckets import Collated, by_length, padded
from recurra.models.decoder import UNCOUNTED, Writer
from recurra.models.search import Assignment, BeamRules, Hypothesis, Search
from recurra.progress import Progress
from recurra.tasks.evaluation import inference
from recurra.tasks.task import Measure, StepLoss

Ids = NDArray[np.int64]
Indices = NDArray[np.integer]

JUDGED_AT_ONCE = 64  # sources
GREEDY = BeamRules(size=1)
END = "(end)"  # what pictures of attention call it


class WritingTraining(TrainingOptions):
    """The `[training]` section: the common one, and what counts."""

    batch_size: int = Field(64, ge=1, description="pairs side by side in a step, of about one length")
    criterion: Literal["headline", "bleu", "chrf", "exact", "loss"] = Field(
        "headline",
        description="metric on validation, of texts written greedily, that chooses the best epoch; headline is the "
        "share of exact matches where the unit is character, else BLEU",
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of each target spread over all types evenly")
    scheduled_sampling: float = Field(
        0.0, ge=0, le=1, description="share of target tokens that a step is given as the model guesses them"
    )


def headline_of(options: WritingTraining, unit: str) -> Measure:
    """Exact matches of characters, BLEU of words; or the score that the recipe names."""
    usual = "exact" if unit == "character" else "bleu"
    return Measure(usual if options.criterion in ("headline", "loss") else options.criterion, higher_is_better=True)


def criterion_of(options: WritingTraining, unit: str) -> Measure:
    """What chooses the best epoch."""
    return Measure("loss") if options.criterion == "loss" else headline_of(options, unit)


class DecodingOptions(Section):
    """The `[decoding]` section: how texts are searched for."""

    beam: int = Field(5, ge=1, description="hypotheses under way; 1 takes the likeliest token each time")
    length_penalty: float = Field(1.0, ge=0, description="0 prefers short texts, 1 is nearly the mean")
    coverage_penalty: float = Field(0.0, ge=0, description="above 0 punishes source that nothing was read of")
    most_tokens: int | None = Field(
        None, ge=1, description="tokens of a text at the most; by default more than training needed for any"
    )
    bleu_tokeniser: Literal["13a", "intl", "char", "zh", "none"] = Field(
        "13a", description="how sacrebleu splits texts into words: 13a for most languages, zh or char without spaces"
    )

    def rules(self, num_best: int = 1) -> BeamRules:
        """As the search takes them."""
        return BeamRules(max(self.beam, num_best), self.length_penalty, self.coverage_penalty, num_best)

    def given(self, num_best: int, **options: float | None) -> BeamRules:
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
    targets: Tensor  # UNCOUNTED in the padding, (time, batch)

    @classmethod
    def of(cls, source: tuple[Tensor, ...], targets: Sequence[Ids], start: int) -> "Batch":
        """Targets, each with its end, beside their sources.

        Args:
            source: as the model reads it.
            targets: tokens of each.
            start: what stands before the first token.
        """
        tokens, _ = padded(targets, UNCOUNTED)
        return cls(source, torch.cat([torch.full_like(tokens[:1], start), tokens[:-1].clamp(min=0)]), tokens)

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return Batch(tuple(part.to(device) for part in self.source), self.inputs.to(device), self.targets.to(device))

    @property
    def num_tokens(self) -> int:
        """How many tokens are to be written, ends among them."""
        return int((self.targets >= 0).sum())


def device_of(model: Writer) -> torch.device:
    """Where a model is."""
    return model.decoder.output.weight.device


def training_loss(model: Writer, batch: Batch, options: WritingTraining) -> StepLoss:
    """Mean nats of the right token, given the source and the right tokens before it.

    Args:
        model: what reads a source (`read`) and writes (`decoder`), as everywhere here.
        batch: of training pairs.
        options: label smoothing and scheduled sampling.
    """
    batch = batch.to(device_of(model))
    start, inputs = model.read(*batch.source), batch.inputs
    if options.scheduled_sampling:
        inputs = model.decoder.guessed(inputs, start, options.scheduled_sampling)
    features, _, _ = model.decoder(inputs, start)
    total = model.decoder.loss(features, batch.targets, options.label_smoothing)
    return StepLoss(total / batch.num_tokens, batch.num_tokens, None)


def mean_nats(model: Writer, batches: Collated[Batch], progress: Progress, title: str) -> float:
    """Mean nats of the right token over some batches, without smoothing."""
    total, num_tokens = 0.0, 0
    with inference(model), progress.stage(title, len(batches)) as advance:
        for index in range(len(batches)):
            batch = batches[index].to(device_of(model))
            features, _, _ = model.decoder(batch.inputs, model.read(*batch.source))
            total += float(model.decoder.loss(features, batch.targets))
            num_tokens += batch.num_tokens
            advance(1)
    return total / num_tokens


def log_probabilities(model: Writer, batch: Batch) -> list[float]:
    """Nats of each right token of a batch of one pair, its end the last."""
    batch = batch.to(device_of(model))
    with inference(model):
        features, _, _ = model.decoder(batch.inputs, model.read(*batch.source))
        found = model.decoder.output(features).log_softmax(2)  # (time, 1, types)
    picked: list[float] = found.gather(2, batch.targets.unsqueeze(2)).flatten().tolist()
    return picked


class Request(NamedTuple):
    """Some sources to be written about."""

    source: tuple[Tensor, ...]  # as the model reads it
    longest: Tensor  # tokens of each text at the most, integer (sources,)
    source_lengths: Tensor  # steps of each source, integer (sources,)


class Frame(NamedTuple):
    """What every text is written with."""

    start: int  # what stands before its first token
    end: int  # what ends it
    never: int | None  # what it never has


def write_texts(
    model: Writer,
    lengths: Sequence[int],
    request: Callable[[Indices], Request],
    frame: Frame,
    search: Search,
    progress: Progress,
    title: str,
) -> list[list[Hypothesis]]:
    """The best texts about each source.

    Args:
        model: what writes.
        lengths: of the sources; those of about one length are read side by side.
        request: some of them, by their numbers.
        frame: what every text is written with.
        search: how to look for the best.
        progress: told how far it is.
        title: what that is called.
    """
    found: dict[int, list[Hypothesis]] = {}
    groups, device = by_length(lengths, JUDGED_AT_ONCE), device_of(model)
    with inference(model), progress.stage(title, len(groups)) as advance:
        for indices in groups:
            source, longest, lengths_read = request(indices)
            state = model.read(*(part.to(device) for part in source))
            lengths_read = torch.zeros_like(longest) if state.memory is None else lengths_read
            assignment = Assignment(state, longest.to(device), lengths_read.to(device), *frame)
            written = search(model.decoder, assignment)
            found |= dict(zip(indices.tolist(), written, strict=True))
            advance(1)
    return [found[index] for index in range(len(lengths))]
