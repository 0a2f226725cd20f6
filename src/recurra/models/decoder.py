"""A recurrent decoder with attention: predicts an output sequence token by token."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.decoding.beam import DecoderOutput
from recurra.models.stack import CellName, LayerOptions, Widths, build_layers, dropout_of
from recurra.nn import Attention, LockedDropout, Memory, drop_words, linear_cross_entropy
from recurra.nn.state import LayerState


class DecoderOptions(LayerOptions):
    """The `[model]` options of a decoder."""

    cell: CellName = Field("gru", description="kind of recurrent layer")
    embedding_size: int = Field(256, ge=1, description="size of a token embedding")
    hidden_size: Widths = Field([256], description="units of each layer of the decoder, bottom first")
    attention: Literal["none", "additive", "dot", "general", "concat"] = Field(
        "additive",
        description="score function of the attention over the source; none: the decoder gets the source summary only",
    )
    input_feeding: bool = Field(
        False,
        description="feed the attentional state of a step into the next one (slower: the steps cannot run at once)",
    )
    inject: Literal["state", "input"] = Field(
        "state",
        description="how the source summary enters the recurrent layers: as their initial state, or as their first "
        "input (Vinyals et al. 2015)",
    )
    tie_embeddings: Literal["none", "output", "all"] = Field(
        "output", description="use the target embedding as output weights, with all as source embedding too"
    )
    embedding_dropout: float = Field(0.3, ge=0, lt=1, description="dropout on token embeddings")
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="probability of dropping a token's whole embedding, everywhere in a batch"
    )
    memory_dropout: float = Field(0.3, ge=0, lt=1, description="dropout on the encoder output")

    @model_validator(mode="after")
    def input_feeding_needs_attention(self) -> "DecoderOptions":
        """Without attention there is no attentional state to feed."""
        if self.input_feeding and self.attention == "none":
            raise ValueError("input_feeding together with an attention")
        return self


class DecoderState(NamedTuple):
    """State of a decoder between two tokens."""

    memory: Memory | None  # the source, prepared for attention; None without attention
    slots: list[LayerState]  # state of the recurrent layers
    fed: Tensor | None  # attentional state of the last step, (batch, embedding); None without input feeding


class DropoutMasks(NamedTuple):
    """Dropout masks that are the same at every step of a sequence."""

    between: list[Tensor]  # after each recurrent layer but the last, (1, batch, hidden)
    output: Tensor  # (1, batch, embedding)


class Decoder(nn.Module):
    """Predicts each next token from the tokens before it and a source.

    The summary of the source gives the recurrent layers their initial state. At each step attention with their output s
    as query returns a context c of the source, and the softmax predicts from the attentional state
    tanh(W [c; s] + b) (Luong et al. 2015, equation 5). Without input feeding all steps of a known target run at once,
    and the recurrent layers on the fused kernels.

    Args:
        vocabulary_size: size of the target vocabulary.
        memory_size: features of a source step.
        summary_size: features of the summary of a source.
        max_length: tokens of the longest training target.
        options: architecture and dropout.

    Raises:
        UsageError: an initialization that does not fit the cell, or sizes that do not fit the attention.
    """

    def __init__(
        self, vocabulary_size: int, memory_size: int, summary_size: int, max_length: int, options: DecoderOptions
    ) -> None:
        super().__init__()
        width, self.input_feeding, self.word_dropout = (
            options.embedding_size,
            options.input_feeding,
            options.word_dropout,
        )
        self.embedding = nn.Embedding(vocabulary_size, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)  # scaled as output weights, which it is if tied
        self.embedding_dropout = dropout_of(options.embedding_dropout, options.locked_dropout)
        self.recurrent = build_layers(options.cell, width * (2 if self.input_feeding else 1), options, max_length)
        self.injects_input = options.inject == "input"
        parts = [part for widths in self.recurrent.layout.layer_widths() for part in widths]
        self.bridge = nn.Linear(summary_size, self.recurrent.input_size if self.injects_input else sum(parts))
        self.attention: Attention | None = None
        if options.attention != "none":
            self.attention = Attention(options.hidden_size[-1], memory_size, score=options.attention)
        self.projection = nn.Linear(options.hidden_size[-1] + (memory_size if self.attention else 0), width)
        self.output_dropout = dropout_of(options.output_dropout, options.locked_dropout)
        self.output = nn.Linear(width, vocabulary_size)
        if options.tie_embeddings != "none":
            self.output.weight = self.embedding.weight

    def initialize_output_bias(self, frequencies: Tensor) -> None:
        """Set the output bias so that an untrained model predicts each token by its frequency, (vocabulary,)."""
        with torch.no_grad():
            self.output.bias.copy_(frequencies.log())

    def initial_state(self, memory: Tensor, lengths: Tensor, summary: Tensor) -> DecoderState:
        """The state before the first token.

        Args:
            memory: encoder output, (source_time, batch, memory).
            lengths: valid steps of each source, integer (batch,).
            summary: of each source, (batch, summary).
        """
        bridged = self.bridge(summary).tanh()
        if self.injects_input:
            x = bridged.unsqueeze(0)  # (1, batch, input)
            _, slots = self.recurrent.run_layers(x, self.recurrent.first_state(x, self.training), None)
        else:
            widths = self.recurrent.layout.layer_widths()
            parts = iter(bridged.split([width for slot in widths for width in slot], 1))
            slots = [tuple(next(parts).contiguous() for _ in slot) for slot in widths]
        fed = summary.new_zeros(len(summary), self.embedding.embedding_dim) if self.input_feeding else None
        return DecoderState(self.attention.prepare(memory, lengths) if self.attention else None, slots, fed)

    def forward(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, Tensor, DecoderState]:
        """Run over known tokens.

        Args:
            tokens: (time, batch).
            state: before the first of them.

        Returns:
            Attentional states, the input of the softmax, (time, batch, embedding); attention weights, (time, batch,
            source_time), or (time, batch, 0) without attention; and the state after the last token.
        """
        table = drop_words(self.embedding.weight, self.word_dropout, self.training)
        vectors = self.embedding_dropout(F.embedding(tokens, table))  # (time, batch, embedding)
        if state.fed is None:
            return self.run_steps(vectors, state)
        return self.run_with_input_feeding(vectors, state, state.fed)

    def run_with_input_feeding(
        self, vectors: Tensor, state: DecoderState, fed: Tensor
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """Run step by step, with the attentional state of the step before, (batch, embedding), as further input."""
        found, attention, masks = [], [], self.draw_masks(vectors)
        for vector in vectors.unbind():
            features, weights, state = self.run_steps(torch.cat([vector, fed], 1).unsqueeze(0), state, masks)
            fed = features[0]
            found.append(fed)
            attention.append(weights[0])
        return torch.stack(found), torch.stack(attention), state._replace(fed=fed)

    def draw_masks(self, vectors: Tensor) -> DropoutMasks | None:
        """Dropout masks for all steps of a sequence with locked dropout in training, else None."""
        if not (self.training and isinstance(self.output_dropout, LockedDropout)):
            return None
        ones = vectors.new_ones(1, vectors.shape[1], self.projection.out_features)
        return DropoutMasks(self.recurrent.draw_masks(ones), self.output_dropout(ones))

    def run_steps(
        self, vectors: Tensor, state: DecoderState, masks: DropoutMasks | None = None
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """Run recurrent layers and attention over vectors (time, batch, input); returns as `forward`."""
        between = None if masks is None else masks.between
        (hidden,), slots = self.recurrent.run_layers(vectors, state.slots, None, between)  # (time, batch, hidden)
        weights = hidden.new_zeros(*hidden.shape[:2], 0)
        if state.memory is not None:
            context, weights = self.attend(hidden, state.memory)  # (time, batch, memory)
            hidden = torch.cat([context, hidden], 2)
        features = self.projection(hidden).tanh()  # (time, batch, embedding)
        features = self.output_dropout(features) if masks is None else features * masks.output
        return features, weights, state._replace(slots=slots)

    def attend(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Attention of queries (time, rows, hidden), with the same number of rows for each source.

        The rows of a source become further steps of its queries, so that its memory is not copied for each of them.
        """
        assert self.attention is not None
        time, rows, width = queries.shape
        size = rows // max(len(memory.mask), 1)
        if size <= 1:
            return self.attention(queries, memory)  # type: ignore[no-any-return]
        spread = queries.view(time, -1, size, width).transpose(1, 2).flatten(0, 1)  # (time*size, sources, width)
        context, weights = (
            part.view(time, size, *part.shape[1:]).transpose(1, 2).flatten(1, 2)
            for part in self.attention(spread, memory)
        )
        return context, weights

    def loss(self, features: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Total cross-entropy in nats, a scalar.

        Args:
            features: attentional states from `forward`, (time, batch, embedding).
            targets: correct tokens, IGNORE_INDEX in the padding, (time, batch).
            label_smoothing: share of the target that is spread evenly over the vocabulary, 0..1.
        """
        return linear_cross_entropy(
            features, self.output.weight, self.output.bias, targets, label_smoothing=label_smoothing
        )

    def apply_scheduled_sampling(self, inputs: Tensor, state: DecoderState, share: float) -> Tensor:
        """Replace a random share of the inputs by the model's own predictions, made without dropout.

        The predictions come from one pass over the correct inputs, not from a step-by-step run on earlier predictions.

        Args:
            inputs: the start token and the correct tokens, (time, batch).
            state: before them.
            share: probability that an input is replaced, 0..1; the first input never is.

        Returns:
            (time, batch).
        Source: Bengio et al. 2015, scheduled sampling; in two passes, Mihaylova & Martins 2019.
        """
        was_training = self.training
        with torch.no_grad():
            features, _, _ = self.eval()(inputs, state)
            # one step at a time, since the logits of all steps together may take too much memory
            predictions = [self.output(step).argmax(1) for step in features[:-1]]
        self.train(was_training)
        shifted = torch.stack([inputs[0], *predictions])
        is_replaced = torch.rand(inputs.shape, device=inputs.device) < share
        return torch.where(is_replaced, shifted, inputs)

    def step(self, tokens: Tensor, state: DecoderState) -> DecoderOutput:
        """Predict the token after `tokens`, (batch,)."""
        features, weights, state = self(tokens.unsqueeze(0), state)
        log_probabilities = self.output(features[0]).log_softmax(1)  # (batch, vocabulary)
        return DecoderOutput(log_probabilities, weights[0], state)

    def expand(self, state: DecoderState, size: int) -> DecoderState:
        """Repeat the one row of each source `size` times, side by side; the memory is not copied."""
        slots = [tuple(part.repeat_interleave(size, 0) for part in slot) for slot in state.slots]
        fed = None if state.fed is None else state.fed.repeat_interleave(size, 0)
        return DecoderState(state.memory, slots, fed)

    def select(self, state: DecoderState, rows: Tensor, sources: Tensor | None) -> DecoderState:
        """Pick rows and sources of a state; see `TokenDecoder.select`."""
        slots = [tuple(part.index_select(0, rows) for part in slot) for slot in state.slots]
        memory = state.memory if state.memory is None or sources is None else state.memory.select(sources)
        return DecoderState(memory, slots, None if state.fed is None else state.fed.index_select(0, rows))


class EncoderDecoder(nn.Module):
    """A model that encodes a source of any kind and decodes an output sequence from it."""

    decoder: Decoder

    def encode(self, *source: Tensor) -> DecoderState:
        """Encode a batch of sources; returns the decoder state before the first token."""
        raise NotImplementedError
