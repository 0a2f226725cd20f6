"""A sequence-to-sequence translator: a recurrent encoder, and a recurrent decoder with attention."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.errors import UsageError
from recurra.models.decoder import Decoder, DecoderOptions, DecoderState, EncoderDecoder
from recurra.models.stack import StackOptions, Widths, build_stack, dropout_of, stack_width
from recurra.nn import drop_words


class TranslatorOptions(DecoderOptions, StackOptions):
    """The `[model]` options of a translator."""

    encoder_size: Widths | None = Field(
        None, description="units of each encoder layer and direction; by default as hidden_size"
    )
    share_weights: bool = Field(False, description="use the same recurrent weights in encoder and decoder")

    @model_validator(mode="after")
    def shared_weights_fit(self) -> "TranslatorOptions":
        """Encoder and decoder can share weights of the same shapes only."""
        if self.share_weights and (self.bidirectional or self.input_feeding or self.encoder_size is not None):
            raise ValueError("share_weights together with bidirectional and input_feeding off and no encoder_size")
        return self

    @property
    def encoder_options(self) -> "TranslatorOptions":
        """The same options with encoder_size as hidden_size."""
        return self.model_copy(update={"hidden_size": self.encoder_size or self.hidden_size})


class TranslatorShape(NamedTuple):
    """Sizes that depend on the data."""

    source_vocabulary_size: int
    target_vocabulary_size: int
    max_source_length: int  # tokens of the longest training source
    max_target_length: int  # tokens of the longest training target


class Encoder(nn.Module):
    """Token embeddings and recurrent layers over them.

    Args:
        vocabulary_size: size of the source vocabulary.
        max_length: tokens of the longest training source.
        options: architecture and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    def __init__(self, vocabulary_size: int, max_length: int, options: TranslatorOptions) -> None:
        super().__init__()
        own = options.encoder_options
        self.word_dropout = options.word_dropout
        self.embedding = nn.Embedding(vocabulary_size, options.embedding_size)
        nn.init.normal_(self.embedding.weight, std=options.embedding_size**-0.5)
        self.embedding_dropout = dropout_of(options.embedding_dropout, options.locked_dropout)
        self.recurrent = build_stack(options.cell, options.embedding_size, own, max_length)
        self.memory_dropout = dropout_of(options.memory_dropout, options.locked_dropout)
        self.width = stack_width(own)
        self.summary_size = own.hidden_size[-1] * (2 if options.bidirectional else 1)

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a batch.

        Args:
            tokens: (time, batch).
            lengths: valid steps of each, integer (batch,).

        Returns:
            Outputs of the top layer, (time, batch, width), and its final hidden states, (batch, summary).
        """
        table = drop_words(self.embedding.weight, self.word_dropout, self.training)
        vectors = self.embedding_dropout(F.embedding(tokens, table))  # (time, batch, embedding)
        output, state = self.recurrent(vectors, lengths=lengths)  # (time, batch, width)
        return self.memory_dropout(output), torch.cat(self.recurrent.top_hidden(state).unbind(), 1)


class Translator(EncoderDecoder):
    """Predicts a target sequence from a source sequence.

    Args:
        shape: sizes of the vocabularies and of the longest sequences.
        options: architecture and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell, or sizes that do not fit together.
    """

    def __init__(self, shape: TranslatorShape, options: TranslatorOptions) -> None:
        super().__init__()
        self.encoder = Encoder(shape.source_vocabulary_size, shape.max_source_length, options)
        sizes = self.encoder.width, self.encoder.summary_size
        self.decoder = Decoder(shape.target_vocabulary_size, *sizes, shape.max_target_length, options)
        if options.tie_embeddings == "all":
            if shape.source_vocabulary_size != shape.target_vocabulary_size:
                raise UsageError(
                    "tie_embeddings = all: expected one vocabulary for both sides, got "
                    f"{shape.source_vocabulary_size:,} and {shape.target_vocabulary_size:,} tokens"
                )
            self.encoder.embedding.weight = self.decoder.embedding.weight
        if options.share_weights:
            self.decoder.recurrent = self.encoder.recurrent

    def encode(self, *source: Tensor) -> DecoderState:
        """Encode a batch; returns the decoder state before the first token.

        Args:
            source: tokens (source_time, batch), and the length of each, integer (batch,).
        """
        tokens, lengths = source
        memory, summary = self.encoder(tokens, lengths)
        return self.decoder.initial_state(memory, lengths, summary)
