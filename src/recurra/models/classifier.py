"""A recurrent classifier: one label for a sequence of tokens or of measurements."""

import itertools
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
    """The `[model]` options of a classifier."""

    cell: CellOrPerceptron = Field(
        "lstm",
        description="kind of recurrent layer; mlp is a network without memory, over all steps at once, without "
        "read-out and directions",
    )
    pooling: Literal["last", "mean", "max", "attention"] = Field(
        "max", description="pooling over time: the last step, the mean, the maximum, or a mean with attention weights"
    )
    embedding_size: int = Field(100, ge=1, description="size of a token embedding, for text")
    embedding_std: float = Field(
        0.1, gt=0, description="standard deviation of the initial token embeddings; if small, rare words hardly matter"
    )
    embedding_dropout: float = Field(0.3, ge=0, lt=1, description="dropout on token embeddings")
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="probability of dropping a token's whole embedding, everywhere in a batch"
    )
    naive_bayes: float = Field(
        0.0,
        ge=0,
        description="for text: weight of naive Bayes log-count ratios in the initial embeddings; 0.2 to 0.5 helps with "
        "few examples",
    )
    noise: float = Field(
        0.0,
        ge=0,
        description="for series: standard deviation of the Gaussian noise added to normalized measurements in training",
    )
    drift: float = Field(
        0.0,
        ge=0,
        description="for series: standard deviation of the random scale and offset of each channel in training",
    )
    warp: float = Field(
        0.0, ge=0, description="for series: augmentation by smooth random shifts in time, of this many steps at most"
    )

    @model_validator(mode="after")
    def last_pooling_needs_both_outputs(self) -> "ClassifierOptions":
        """The backward direction ends at the first step, so pooling needs the outputs of both directions apart."""
        if self.pooling == "last" and self.bidirectional and self.merge != "concat":
            raise ValueError('merge = "concat" with pooling = "last" of a bidirectional model')
        return self


class ClassifierOutput(NamedTuple):
    """Output of a classifier for a batch."""

    logits: Tensor  # (batch, labels)
    attention: Tensor | None  # weight of each step, (time, batch), with attention pooling


class ClassifierShape(NamedTuple):
    """Sizes that depend on the data."""

    vocabulary_size: int | None  # of text; None for series
    channels: int  # of series; 1 for text
    max_length: int  # steps of the longest training sequence
    steps: int | None  # of all training sequences if they are of one length


class TokenEmbedding(nn.Module):
    """Token embeddings with dropout of features and of whole words.

    Args:
        vocabulary_size: size of the vocabulary.
        options: embedding size, initial standard deviation and dropout.
    """

    def __init__(self, vocabulary_size: int, options: ClassifierOptions) -> None:
        super().__init__()
        self.weight = nn.Parameter(options.embedding_std * torch.randn(vocabulary_size, options.embedding_size))
        self.word_dropout = options.word_dropout
        self.dropout = dropout_of(options.embedding_dropout, options.locked_dropout)

    @torch.no_grad()
    def initialize_from_ratios(self, ratios: NDArray[np.float64], weight: float) -> None:
        """Set the first features of each embedding to log-count ratios times a weight.

        Args:
            ratios: from `log_count_ratios`, (vocabulary, labels).
            weight: their factor.

        Raises:
            UsageError: more labels than features.
        """
        labels = ratios.shape[1]
        if labels > self.weight.shape[1]:
            raise UsageError(f"naive_bayes: needs an embedding_size of at least the number of labels, {labels}")
        self.weight[:, :labels] = weight * torch.from_numpy(ratios).float()

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002
        """From ids (time, batch) to embeddings (time, batch, embedding); the lengths have no effect."""
        vectors: Tensor = self.dropout(F.embedding(ids, drop_words(self.weight, self.word_dropout, self.training)))
        return vectors


class SeriesAugmentation(nn.Module):
    """Random noise, drift and time warping of series in training; no change otherwise.

    Args:
        options: noise, drift and warp.

    Source: jittering, scaling and time warping as in Um et al. 2017, Data augmentation of wearable sensor data.
    """

    def __init__(self, options: ClassifierOptions) -> None:
        super().__init__()
        self.noise, self.drift, self.warp = options.noise, options.drift, options.warp

    def forward(self, series: Tensor, lengths: Tensor) -> Tensor:
        """Augment a batch (time, batch, channels).

        Args:
            series: normalized measurements.
            lengths: valid steps of each, integer (batch,).
        """
        if self.training and self.warp:
            series = warp_series(series, lengths, self.warp)
        if self.training and self.drift:
            factor, shift = self.drift * torch.randn(2, 1, *series.shape[1:], device=series.device)
            series = series * (1 + factor) + shift
        if self.training and self.noise:
            series = series + self.noise * torch.randn_like(series)
        return series


class SequenceClassifier(nn.Module):
    """Embeddings, recurrent layers, pooling over time, and an output layer.

    Args:
        shape: sizes of the data.
        num_labels: number of labels.
        options: architecture and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    def __init__(self, shape: ClassifierShape, num_labels: int, options: ClassifierOptions) -> None:
        super().__init__()
        self.input_layer = (
            TokenEmbedding(shape.vocabulary_size, options) if shape.vocabulary_size else SeriesAugmentation(options)
        )
        features = options.embedding_size if shape.vocabulary_size else shape.channels
        self.encoder: SequenceEncoder | SequencePerceptron
        if options.cell == "mlp":
            self.encoder = SequencePerceptron(features, None if shape.vocabulary_size else shape.steps, options)
        else:
            self.encoder = SequenceEncoder(features, shape.max_length, options)
        self.output = nn.Linear(self.encoder.width, num_labels)

    def forward(self, inputs: Tensor, lengths: Tensor) -> ClassifierOutput:
        """Classify a batch.

        Args:
            inputs: token ids (time, batch), or measurements (time, batch, channels).
            lengths: valid steps of each, integer (batch,).
        """
        features, attention = self.encoder(self.input_layer(inputs, lengths), lengths)
        return ClassifierOutput(self.output(features), attention)


class SequenceEncoder(nn.Module):
    """Recurrent layers and pooling over time.

    Args:
        features: of a step.
        max_length: steps of the longest training sequence.
        options: cell, widths, pooling and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    def __init__(self, features: int, max_length: int, options: ClassifierOptions) -> None:
        super().__init__()
        self.pooling, self.bidirectional = options.pooling, options.bidirectional
        self.recurrent = build_stack(options.cell, features, options, max_length)
        self.width = stack_width(options)
        self.attention = AttentionPooling(self.width) if options.pooling == "attention" else None
        self.dropout = nn.Dropout(options.output_dropout)

    def forward(self, vectors: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """From vectors (time, batch, features) to (batch, width) and, with attention pooling, weights (time, batch)."""
        output, _ = self.recurrent(vectors, lengths=lengths)  # (time, batch, width)
        pooled, weights = self.pool(output, lengths)
        return self.dropout(pooled), weights

    def pool(self, output: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Pool the output (time, batch, width) over time; returns as `forward`."""
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


class SequencePerceptron(nn.Module):
    """A multilayer perceptron over all steps at once, or over their mean and maximum.

    Args:
        features: of a step.
        steps: of all sequences; None for mean and maximum, if the lengths differ or the order should not matter.
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
        """From vectors (time, batch, features) to features (batch, width); there are no attention weights."""
        if self.steps is None:
            hidden = torch.cat([mean_over_time(vectors, lengths), max_over_time(vectors, lengths)], 1)
        else:
            hidden = concatenate_steps(vectors, lengths, self.steps)
        for layer in self.layers:
            hidden = self.dropout(layer(hidden).relu())
        return hidden, None


def concatenate_steps(vectors: Tensor, lengths: Tensor, steps: int) -> Tensor:
    """Concatenate the first steps of each sequence, with zeros in the padding.

    Args:
        vectors: (time, batch, features).
        lengths: valid steps of each, integer (batch,).
        steps: how many steps to take; shorter batches are padded.

    Returns:
        (batch, steps * features).
    """
    time, batch, features = vectors.shape
    valid = torch.arange(time, device=vectors.device)[:, None] < lengths.to(vectors.device)
    vectors = torch.where(valid.unsqueeze(2), vectors, 0)[:steps]
    window = F.pad(vectors, (0, 0, 0, 0, 0, steps - len(vectors)))
    return window.transpose(0, 1).reshape(batch, steps * features)
