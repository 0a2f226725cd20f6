"""A recurrent classifier: one label for a whole sequence of tokens or of measurements."""

import itertools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.errors import UsageError
from recurra.models.stack import CellOrPerceptron, StackOptions, build_stack, dropout_of, stack_width
from recurra.nn import AttentionPooling, both_ends, drop_words, last_valid_step, max_over_time, mean_over_time
from recurra.nn.augment import warp_series


class ClassifierOptions(StackOptions):
    """The shape of the network and its dropout."""

    cell: CellOrPerceptron = Field(
        "lstm",
        description="kind of recurrent layer; mlp is a network without memory, over all steps at once, without "
        "read-out and directions",
    )
    pooling: Literal["last", "mean", "max", "attention"] = Field(
        "max", description="what stands for a whole sequence: the last step, the mean or maximum, or a weighted mean"
    )
    embedding_size: int = Field(100, ge=1, description="width of a token's vector, where the data is text")
    embedding_std: float = Field(
        0.1, gt=0, description="of the numbers of token vectors at the start: small, a rare word hardly counts"
    )
    embedding_dropout: float = Field(0.3, ge=0, lt=1, description="dropout on token vectors")
    word_dropout: float = Field(0.0, ge=0, lt=1, description="share of types whose whole vector is dropped in a batch")
    naive_bayes: float = Field(
        0.0,
        ge=0,
        description="of text: weight of how much oftener examples of each label have a type, as a logarithm, in the "
        "vectors at the start; 0.2 to 0.5 helps where examples are few",
    )
    noise: float = Field(
        0.0, ge=0, description="of series: deviation of what is added to each measurement in training, normalized"
    )
    drift: float = Field(
        0.0, ge=0, description="of series: deviation of a channel's factor and shift, drawn for each series in training"
    )
    warp: float = Field(
        0.0, ge=0, description="of series: steps by which training moves a value at the most, its neighbors alike"
    )

    @model_validator(mode="after")
    def both_ends_need_both_outputs(self) -> "ClassifierOptions":
        """The last step of a backward direction is the first in time, so the two outputs may not be one already."""
        if self.pooling == "last" and self.bidirectional and self.merge != "concat":
            raise ValueError('merge = "concat" where pooling = "last" reads both directions')
        return self


class Verdict(NamedTuple):
    """What a classifier says of a batch."""

    logits: Tensor  # (batch, labels)
    attention: Tensor | None  # (time, batch), how much each step counts; where pooling = attention


class InputShape(NamedTuple):
    """What a classifier reads."""

    vocabulary_size: int | None  # of tokens; None for measurements
    channels: int  # measurements at a step; 1 for tokens
    longest: int  # steps of the longest training sequence
    steps: int | None  # of every training sequence, if they agree


def label_ratios(
    sequences: Sequence[NDArray[np.integer]], targets: NDArray[np.integer], vocabulary_size: int, num_labels: int
) -> Tensor:
    """How much oftener examples of each label have a type, against the geometric mean over the labels, as logarithms.

    Args:
        sequences: type ids of each example, (time,).
        targets: label of each.
        vocabulary_size: size of the vocabulary.
        num_labels: how many labels there are.

    Returns:
        (types, labels); every type is counted once more than it is there.

    Source: Wang & Manning 2012, Baselines and bigrams.
    """
    counts = np.ones((vocabulary_size, num_labels))
    for ids, target in zip(sequences, targets, strict=True):
        counts[np.unique(ids), target] += 1
    logarithms = np.log(counts / counts.sum(0))
    return torch.from_numpy(logarithms - logarithms.mean(1, keepdims=True)).float()


class TokenVectors(nn.Module):
    """A vector for each token, with dropout of features and of whole types.

    Args:
        vocabulary_size: size of the vocabulary.
        options: width and dropout.
    """

    def __init__(self, vocabulary_size: int, options: ClassifierOptions) -> None:
        super().__init__()
        self.weight = nn.Parameter(options.embedding_std * torch.randn(vocabulary_size, options.embedding_size))
        self.word_dropout = options.word_dropout
        self.dropout = dropout_of(options.embedding_dropout, options.locked_dropout)

    @torch.no_grad()
    def begin_with(self, ratios: Tensor, weight: float) -> None:
        """Let the first numbers of each vector be those of `label_ratios`, (types, labels), times a weight.

        Raises:
            UsageError: more labels than numbers.
        """
        labels = ratios.shape[1]
        if labels > self.weight.shape[1]:
            raise UsageError(f"naive_bayes: needs an embedding_size of at least the number of labels, {labels}")
        self.weight[:, :labels] = weight * ratios

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002
        """From ids (time, batch) to vectors (time, batch, embedding), whatever the lengths."""
        vectors: Tensor = self.dropout(F.embedding(ids, drop_words(self.weight, self.word_dropout, self.training)))
        return vectors


class Measurements(nn.Module):
    """Series as they are; in training as another sensor might have given them.

    Args:
        options: noise, drift and warp.

    Source: jittering, scaling and time warping of Um et al. 2017, Data augmentation of wearable sensor data.
    """

    def __init__(self, options: ClassifierOptions) -> None:
        super().__init__()
        self.noise, self.drift, self.warp = options.noise, options.drift, options.warp

    def forward(self, series: Tensor, lengths: Tensor) -> Tensor:
        """From and to (time, batch, channels), of which so many steps of each are valid."""
        if self.training and self.warp:
            series = warp_series(series, lengths, self.warp)
        if self.training and self.drift:
            factor, shift = self.drift * torch.randn(2, 1, *series.shape[1:], device=series.device)
            series = series * (1 + factor) + shift
        if self.training and self.noise:
            series = series + self.noise * torch.randn_like(series)
        return series


class SequenceClassifier(nn.Module):
    """One label for a sequence: vectors, recurrent layers, a read-out over time, an output layer.

    Args:
        shape: what it reads.
        num_labels: between how many labels it decides.
        options: shape and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    def __init__(self, shape: InputShape, num_labels: int, options: ClassifierOptions) -> None:
        super().__init__()
        self.front = TokenVectors(shape.vocabulary_size, options) if shape.vocabulary_size else Measurements(options)
        features = options.embedding_size if shape.vocabulary_size else shape.channels
        self.body: Recurrence | Perceptron
        if options.cell == "mlp":
            self.body = Perceptron(features, None if shape.vocabulary_size else shape.steps, options)
        else:
            self.body = Recurrence(features, shape.longest, options)
        self.output = nn.Linear(self.body.width, num_labels)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Verdict:
        """Judge a batch.

        Args:
            inputs: token ids (time, batch), or measurements (time, batch, channels).
            lengths: valid steps of each, integer (batch,).
        """
        features, attention = self.body(self.front(inputs, lengths), lengths)
        return Verdict(self.output(features), attention)


class Recurrence(nn.Module):
    """Recurrent layers and what is read out of them, (batch, width).

    Args:
        features: of a step.
        longest: steps of the longest training sequence.
        options: cell, widths, read-out and dropout.
    """

    def __init__(self, features: int, longest: int, options: ClassifierOptions) -> None:
        super().__init__()
        self.pooling, self.bidirectional = options.pooling, options.bidirectional
        self.recurrent = build_stack(options.cell, features, options, longest)
        self.width = stack_width(options)
        self.attention = AttentionPooling(self.width) if options.pooling == "attention" else None
        self.dropout = nn.Dropout(options.output_dropout)

    def forward(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """From vectors (time, batch, features) to features (batch, width), and the weight of each step."""
        output, _ = self.recurrent(vectors, lengths=lengths)  # (time, batch, width)
        pooled, weights = self.pool(output, lengths)
        return self.dropout(pooled), weights

    def pool(self, output: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """One vector for a sequence, (batch, width)."""
        if self.attention is not None:
            pooled, weights = self.attention(output, lengths)
            return pooled, weights
        if self.pooling == "mean":
            return mean_over_time(output, lengths), None
        if self.pooling == "max":
            return max_over_time(output, lengths), None
        if self.bidirectional:
            forward, backward = output.chunk(2, dim=2)
            return both_ends(forward, backward, lengths), None
        return last_valid_step(output, lengths), None


class Perceptron(nn.Module):
    """Layers without memory: over the whole window where all are of one length, else over mean and maximum.

    Args:
        features: of a step.
        steps: of every sequence; None where they differ, or where order shall not count.
        options: widths and dropout.
    """

    def __init__(self, features: int, steps: int | None, options: ClassifierOptions) -> None:
        super().__init__()
        self.steps = steps
        widths = [features * (steps or 2), *options.hidden_size]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))
        self.width = widths[-1]
        self.dropout = nn.Dropout(options.output_dropout)

    def forward(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, None]:
        """From vectors (time, batch, features) to features (batch, width)."""
        if self.steps is None:
            hidden = torch.cat([mean_over_time(vectors, lengths), max_over_time(vectors, lengths)], 1)
        else:
            hidden = window_of(vectors, lengths, self.steps)
        for layer in self.layers:
            hidden = self.dropout(layer(hidden).relu())
        return hidden, None


def window_of(vectors: Tensor, lengths: Tensor, steps: int) -> Tensor:
    """The first steps of each sequence side by side, 0 where it has ended, (batch, steps*features)."""
    time, batch, features = vectors.shape
    valid = torch.arange(time, device=vectors.device)[:, None] < lengths.to(vectors.device)
    vectors = torch.where(valid.unsqueeze(2), vectors, 0)[:steps]
    window = F.pad(vectors, (0, 0, 0, 0, 0, steps - len(vectors)))
    return window.transpose(0, 1).reshape(batch, steps * features)


def steps_in_common(lengths: Sequence[int]) -> int | None:
    """The length of all sequences, if they agree."""
    return lengths[0] if len(set(lengths)) == 1 else None
