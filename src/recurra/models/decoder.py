"""A recurrent decoder: it writes one token at a time and may look at the source again for each."""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.decoding.beam import Next
from recurra.models.stack import CellName, LayerOptions, Widths, build_layers, dropout_of
from recurra.nn import Attention, LockedDropout, Memory, drop_words, linear_cross_entropy
from recurra.nn.state import LayerState

UNCOUNTED = -1  # target where there is none


class DecoderOptions(LayerOptions):
    """The shape of a decoder and its dropout."""

    cell: CellName = Field("gru", description="kind of recurrent layer")
    embedding_size: int = Field(256, ge=1, description="width of a token's vector")
    hidden_size: Widths = Field([256], description="units of each layer of the decoder, bottom first")
    attention: Literal["none", "additive", "dot", "general", "concat"] = Field(
        "additive",
        description="how a step of the decoder scores the steps of the source; none: it sees the last state alone",
    )
    input_feeding: bool = Field(
        False, description="give each step what the one before has read of the source (slower: no step is known ahead)"
    )
    begin: Literal["state", "input"] = Field(
        "state",
        description="how the recurrent layers learn of the source: from a first state made of its summary, or by "
        "reading this as first input (Vinyals et al. 2015)",
    )
    tie_embeddings: Literal["none", "output", "all"] = Field(
        "output", description="use the target embedding as output weights, with all as source embedding too"
    )
    embedding_dropout: float = Field(0.3, ge=0, lt=1, description="dropout on token vectors")
    word_dropout: float = Field(0.0, ge=0, lt=1, description="share of types whose whole vector is dropped in a batch")
    memory_dropout: float = Field(0.3, ge=0, lt=1, description="dropout on what the encoder has written")

    @model_validator(mode="after")
    def feeds_what_was_read(self) -> "DecoderOptions":
        """Without attention nothing is read."""
        if self.input_feeding and self.attention == "none":
            raise ValueError("input_feeding together with an attention")
        return self


class DecoderState(NamedTuple):
    """Where a decoder stands."""

    memory: Memory | None  # the source, as attention reads it
    slots: list[LayerState]  # state of the recurrent layers
    fed: Tensor | None  # what the last step read and made of it, (batch, embedding); None without feeding


class Masks(NamedTuple):
    """What dropout multiplies every step of a sequence with."""

    between: list[Tensor]  # behind each recurrent layer but the last, (1, batch, hidden)
    output: Tensor  # (1, batch, embedding)


class Decoder(nn.Module):
    """Predicts each next token from all before it and from a source.

    The recurrent layers begin with a summary of the source. At each step attention reads the source for their output s:
    what it finds, c, and s become tanh(W [c; s] + b), of which the softmax predicts (Luong et al. 2015, equation 5).
    Where nothing is fed back, all steps of a known target run at once, and the recurrent layers on the fused kernels.

    Args:
        vocabulary_size: size of the target vocabulary.
        memory_size: features of a step of the source.
        summary_size: features of the summary of a source.
        longest: tokens of the longest training target.
        options: shape and dropout.
    """

    def __init__(
        self, vocabulary_size: int, memory_size: int, summary_size: int, longest: int, options: DecoderOptions
    ) -> None:
        super().__init__()
        width, self.feeds, self.word_dropout = options.embedding_size, options.input_feeding, options.word_dropout
        self.embedding = nn.Embedding(vocabulary_size, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)  # they are output weights too, where tied
        self.embedding_dropout = dropout_of(options.embedding_dropout, options.locked_dropout)
        self.recurrent = build_layers(options.cell, width * (2 if self.feeds else 1), options, longest)
        self.reads_summary = options.begin == "input"
        parts = [part for widths in self.recurrent.layout.layer_widths() for part in widths]
        self.bridge = nn.Linear(summary_size, self.recurrent.input_size if self.reads_summary else sum(parts))
        self.attention: Attention | None = None
        if options.attention != "none":
            self.attention = Attention(options.hidden_size[-1], memory_size, score=options.attention)
        self.read_out = nn.Linear(options.hidden_size[-1] + (memory_size if self.attention else 0), width)
        self.output_dropout = dropout_of(options.output_dropout, options.locked_dropout)
        self.output = nn.Linear(width, vocabulary_size)
        if options.tie_embeddings != "none":
            self.output.weight = self.embedding.weight

    def expect(self, frequencies: Tensor) -> None:
        """Let an untrained model predict each type by its frequency, (types,), whatever the source."""
        with torch.no_grad():
            self.output.bias.copy_(frequencies.log())

    def begin(self, memory: Tensor, lengths: Tensor, summary: Tensor) -> DecoderState:
        """The state before the first token.

        Args:
            memory: the source, (source_time, batch, memory).
            lengths: valid steps of each source, integer (batch,).
            summary: of each source, (batch, summary).
        """
        bridged = self.bridge(summary).tanh()
        if self.reads_summary:
            x = bridged.unsqueeze(0)  # (1, batch, input)
            _, slots = self.recurrent.run_layers(x, self.recurrent.first_state(x, self.training), None)
        else:
            widths = self.recurrent.layout.layer_widths()
            parts = iter(bridged.split([width for slot in widths for width in slot], 1))
            slots = [tuple(next(parts).contiguous() for _ in slot) for slot in widths]
        fed = summary.new_zeros(len(summary), self.embedding.embedding_dim) if self.feeds else None
        return DecoderState(self.attention.prepare(memory, lengths) if self.attention else None, slots, fed)

    def forward(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, Tensor, DecoderState]:
        """What the softmax sees behind each of some known tokens.

        Args:
            tokens: (time, batch).
            state: before them.

        Returns:
            Features (time, batch, embedding), attention (time, batch, source_time), or (time, batch, 0) if there is
            none, and the state after the last token.
        """
        table = drop_words(self.embedding.weight, self.word_dropout, self.training)
        vectors = self.embedding_dropout(F.embedding(tokens, table))  # (time, batch, embedding)
        return self.read(vectors, state) if state.fed is None else self.feed(vectors, state, state.fed)

    def feed(self, vectors: Tensor, state: DecoderState, fed: Tensor) -> tuple[Tensor, Tensor, DecoderState]:
        """The same step by step, each given what the one before has made of the source, (batch, embedding)."""
        found, attention, masks = [], [], self.draw_masks(vectors)
        for vector in vectors.unbind():
            features, weights, state = self.read(torch.cat([vector, fed], 1).unsqueeze(0), state, masks)
            fed = features[0]
            found.append(fed)
            attention.append(weights[0])
        return torch.stack(found), torch.stack(attention), state._replace(fed=fed)

    def draw_masks(self, vectors: Tensor) -> Masks | None:
        """What dropout multiplies all steps with, where it keeps its masks; None where each step draws its own."""
        if not (self.training and isinstance(self.output_dropout, LockedDropout)):
            return None
        ones = vectors.new_ones(1, vectors.shape[1], self.read_out.out_features)
        return Masks(self.recurrent.draw_masks(ones), self.output_dropout(ones))

    def read(
        self, vectors: Tensor, state: DecoderState, masks: Masks | None = None
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """The recurrent layers over vectors (time, batch, input), and what is read of the source for each step."""
        between = None if masks is None else masks.between
        (hidden,), slots = self.recurrent.run_layers(vectors, state.slots, None, between)  # (time, batch, hidden)
        weights = hidden.new_zeros(*hidden.shape[:2], 0)
        if state.memory is not None:
            context, weights = self.look(hidden, state.memory)  # (time, batch, memory)
            hidden = torch.cat([context, hidden], 2)
        found = self.read_out(hidden).tanh()  # (time, batch, embedding)
        found = self.output_dropout(found) if masks is None else found * masks.output
        return found, weights, state._replace(slots=slots)

    def look(self, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Attention for rows of which as many stand side by side about each source: they are read like more steps."""
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
        """Total nats of the right tokens.

        Args:
            features: what forward gives, (time, batch, embedding).
            targets: right tokens, UNCOUNTED in the padding, (time, batch).
            label_smoothing: share of the target that is spread over all types evenly.

        Returns:
            A scalar.
        """
        return linear_cross_entropy(
            features, self.output.weight, self.output.bias, targets, label_smoothing=label_smoothing
        )

    def guessed(self, inputs: Tensor, state: DecoderState, share: float) -> Tensor:
        """Inputs of which a share is what the model itself, without dropout, would have said there.

        It is not asked step by step: each guess is made on the right tokens before it.

        Args:
            inputs: the start and the right tokens, (time, batch).
            state: before them.
            share: of the steps behind the first, 0..1.

        Source: Bengio et al. 2015, scheduled sampling; in two passes, Mihaylova & Martins 2019.
        """
        was_training = self.training
        with torch.no_grad():
            features, _, _ = self.eval()(inputs, state)
            guesses = [self.output(step).argmax(1) for step in features[:-1]]  # of one step at a time: logits are large
        self.train(was_training)
        shifted = torch.stack([inputs[0], *guesses])
        drawn = torch.rand(inputs.shape, device=inputs.device) < share
        return torch.where(drawn, shifted, inputs)

    def step(self, tokens: Tensor, state: DecoderState) -> Next:
        """What follows on tokens (batch,)."""
        found, weights, state = self(tokens.unsqueeze(0), state)
        log_probabilities = self.output(found[0]).log_softmax(1)  # (batch, types)
        return Next(log_probabilities, weights[0], state)

    def spread(self, state: DecoderState, size: int) -> DecoderState:
        """The state of one row a source as that of `size` rows a source, side by side; the source is not copied."""
        slots = [tuple(part.repeat_interleave(size, 0) for part in slot) for slot in state.slots]
        fed = None if state.fed is None else state.fed.repeat_interleave(size, 0)
        return DecoderState(state.memory, slots, fed)

    def select(self, state: DecoderState, rows: Tensor, sources: Tensor | None) -> DecoderState:
        """The state of some rows, each any number of times, and of some sources; see `Stepper.select`."""
        slots = [tuple(part.index_select(0, rows) for part in slot) for slot in state.slots]
        memory = state.memory if state.memory is None or sources is None else state.memory.select(sources)
        return DecoderState(memory, slots, None if state.fed is None else state.fed.index_select(0, rows))


class Writer(nn.Module):
    """A model that reads a source of any kind and writes about it."""

    decoder: Decoder

    def read(self, *source: Tensor) -> DecoderState:
        """The decoder's state before the first token."""
        raise NotImplementedError
