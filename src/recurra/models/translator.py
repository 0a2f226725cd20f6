"""From one sequence of tokens to another: a recurrent encoder, a recurrent decoder, attention between them."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.errors import UsageError
from recurra.models.decoder import Decoder, DecoderOptions, DecoderState, Writer
from recurra.models.stack import StackOptions, Widths, build_stack, dropout_of, stack_width
from recurra.nn import drop_words


class TranslatorOptions(DecoderOptions, StackOptions):
    """The shape of both sides and their dropout."""

    encoder_size: Widths | None = Field(
        None, description="units of each layer of the encoder and direction; by default as hidden_size"
    )
    shared: bool = Field(False, description="one set of recurrent weights for encoder and decoder")

    @model_validator(mode="after")
    def sides_fit(self) -> "TranslatorOptions":
        """What is shared is of one shape."""
        if self.shared and (self.bidirectional or self.input_feeding or self.encoder_size is not None):
            raise ValueError("shared recurrent weights with bidirectional and input_feeding off and no encoder_size")
        return self

    @property
    def of_encoder(self) -> "TranslatorOptions":
        """The same with the widths of the encoder as hidden_size."""
        return self.model_copy(update={"hidden_size": self.encoder_size or self.hidden_size})


class TranslatorShape(NamedTuple):
    """What follows from the data."""

    source_types: int
    target_types: int
    longest_source: int  # tokens
    longest_target: int


class Encoder(nn.Module):
    """Vectors of tokens and recurrent layers over them.

    Args:
        vocabulary_size: size of the source vocabulary.
        longest: tokens of the longest training source.
        options: shape and dropout.
    """

    def __init__(self, vocabulary_size: int, longest: int, options: TranslatorOptions) -> None:
        super().__init__()
        own = options.of_encoder
        self.word_dropout = options.word_dropout
        self.embedding = nn.Embedding(vocabulary_size, options.embedding_size)
        nn.init.normal_(self.embedding.weight, std=options.embedding_size**-0.5)
        self.embedding_dropout = dropout_of(options.embedding_dropout, options.locked_dropout)
        self.recurrent = build_stack(options.cell, options.embedding_size, own, longest)
        self.memory_dropout = dropout_of(options.memory_dropout, options.locked_dropout)
        self.width = stack_width(own)
        self.summary_size = own.hidden_size[-1] * (2 if options.bidirectional else 1)

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Read a batch.

        Args:
            tokens: (time, batch).
            lengths: valid steps of each, integer (batch,).

        Returns:
            Memory (time, batch, width), and a summary (batch, summary): the last states of the top layer.
        """
        table = drop_words(self.embedding.weight, self.word_dropout, self.training)
        vectors = self.embedding_dropout(F.embedding(tokens, table))  # (time, batch, embedding)
        output, state = self.recurrent(vectors, lengths=lengths)  # (time, batch, width)
        return self.memory_dropout(output), torch.cat(self.recurrent.top_hidden(state).unbind(), 1)


class Translator(Writer):
    """Predicts a target sequence from a source sequence.

    Args:
        shape: sizes of the vocabularies and of the longest sequences.
        options: shape and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell, or sizes that do not fit each other.
    """

    def __init__(self, shape: TranslatorShape, options: TranslatorOptions) -> None:
        super().__init__()
        self.encoder = Encoder(shape.source_types, shape.longest_source, options)
        sizes = self.encoder.width, self.encoder.summary_size
        self.decoder = Decoder(shape.target_types, *sizes, shape.longest_target, options)
        if options.tie_embeddings == "all":
            if shape.source_types != shape.target_types:
                raise UsageError(
                    f"tie_embeddings = all: expected one vocabulary for both sides, got {shape.source_types:,} and "
                    f"{shape.target_types:,} types"
                )
            self.encoder.embedding.weight = self.decoder.embedding.weight
        if options.shared:
            self.decoder.recurrent = self.encoder.recurrent

    def read(self, *source: Tensor) -> DecoderState:
        """The decoder's state before the first token of the translation.

        Args:
            source: tokens (source_time, batch), and the length of each, integer (batch,).
        """
        tokens, lengths = source
        memory, summary = self.encoder(tokens, lengths)
        return self.decoder.begin(memory, lengths, summary)
