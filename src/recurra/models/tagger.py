"""A recurrent tagger: a tag for every token, from word embeddings, characters and context."""

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from recurra.lengths import IGNORE_INDEX, valid_steps
from recurra.models.stack import CellOrPerceptron, GatedCellName, StackOptions, build_stack, dropout_of, stack_width
from recurra.nn import Allowed, LinearChainCRF, both_ends
from recurra.nn.layers import LAYERS

WINDOW_REACH = 2  # tokens on either side in the window of the perceptron


class TaggerOptions(StackOptions):
    """The `[model]` options of a tagger."""

    cell: CellOrPerceptron = Field(
        "lstm",
        description="kind of recurrent layer over the tokens; mlp is a network without memory, over each token and two "
        "neighbors on either side",
    )
    embedding_size: int = Field(100, ge=1, description="size of a word embedding")
    embedding_dropout: float = Field(0.3, ge=0, lt=1, description="dropout on word embedding and character features")
    characters: bool = Field(
        True, description="add features of the characters of each token, by a bidirectional recurrent layer"
    )
    character_cell: GatedCellName = Field("lstm", description="kind of recurrent layer over the characters")
    character_embedding_size: int = Field(30, ge=1, description="size of a character embedding")
    character_hidden_size: int = Field(50, ge=1, description="units of each direction of the layer over the characters")
    crf: bool = Field(True, description="score the tags of a sentence jointly, with a conditional random field")


class TaggerShape(NamedTuple):
    """Sizes that depend on the data."""

    num_words: int  # of the vocabulary
    num_characters: int  # of the alphabet
    max_length: int  # tokens of the longest training sentence


class TaggerInputs(NamedTuple):
    """A batch of sentences. The characters of equal tokens are given, and encoded, only once."""

    words: Tensor  # ids (time, batch)
    lengths: Tensor  # (batch,)
    spellings: Tensor  # column of `characters` for each token, (time, batch)
    characters: Tensor  # ids of each distinct token, (max_characters, spellings)
    character_lengths: Tensor  # (spellings,)

    def to(self, device: torch.device) -> "TaggerInputs":
        """The same on a device; the lengths stay on the CPU."""
        return self._replace(
            words=self.words.to(device), spellings=self.spellings.to(device), characters=self.characters.to(device)
        )


class CharacterEncoder(nn.Module):
    """Features of a token from its characters: the final outputs of both directions of a recurrent layer.

    Args:
        num_characters: size of the alphabet.
        options: cell and widths.
    """

    def __init__(self, num_characters: int, options: TaggerOptions) -> None:
        super().__init__()
        self.width = 2 * options.character_hidden_size
        self.embedding = nn.Embedding(num_characters, options.character_embedding_size)
        size = options.character_embedding_size, options.character_hidden_size
        self.recurrent = LAYERS[options.character_cell](*size, bidirectional=True, merge="none")

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """From ids (max_characters, spellings) to features (spellings, width)."""
        (forward, backward), _ = self.recurrent(self.embedding(characters), lengths=lengths)
        return both_ends(forward, backward, lengths)


class WindowPerceptron(nn.Module):
    """A multilayer perceptron over a window of tokens, with zeros outside the sentence.

    Args:
        features: of a token.
        options: widths and dropout.
    """

    def __init__(self, features: int, options: TaggerOptions) -> None:
        super().__init__()
        widths = [features * (2 * WINDOW_REACH + 1), *options.hidden_size]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, features: Tensor, *, lengths: Tensor) -> tuple[Tensor, None]:
        """From features (time, batch, features) to features (time, batch, width)."""
        time = len(features)
        inside = valid_steps(lengths.to(features.device), time).unsqueeze(2)
        padded = F.pad(features.where(inside, 0), (0, 0, 0, 0, WINDOW_REACH, WINDOW_REACH))
        hidden = torch.cat([padded[step : step + time] for step in range(2 * WINDOW_REACH + 1)], 2)
        for index, layer in enumerate(self.layers):
            hidden = layer(self.dropout(hidden) if index else hidden).relu()
        return hidden, None


class Tagger(nn.Module):
    """Word embeddings and character features, recurrent layers, a score for each tag, a conditional random field.

    Args:
        shape: sizes of the data.
        num_tags: number of tags.
        options: architecture and dropout.
        allowed: transitions between tags that the conditional random field allows; None for all.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    def __init__(
        self, shape: TaggerShape, num_tags: int, options: TaggerOptions, allowed: Allowed | None = None
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.num_words, options.embedding_size)
        self.character_encoder = CharacterEncoder(shape.num_characters, options) if options.characters else None
        self.embedding_dropout = dropout_of(options.embedding_dropout, options.locked_dropout)
        features = options.embedding_size + (self.character_encoder.width if self.character_encoder else 0)
        self.context: nn.Module
        if options.cell == "mlp":
            self.context, width = WindowPerceptron(features, options), options.hidden_size[-1]
        else:
            self.context, width = build_stack(options.cell, features, options, shape.max_length), stack_width(options)
        self.output_dropout = dropout_of(options.output_dropout, options.locked_dropout)
        self.output = nn.Linear(width, num_tags)
        self.crf = LinearChainCRF(num_tags, allowed=allowed) if options.crf else None

    def forward(self, tokens: TaggerInputs) -> Tensor:
        """Score of each tag for each token, without transitions, (time, batch, tags)."""
        features = self.embedding(tokens.words)  # (time, batch, embedding)
        if self.character_encoder is not None:
            encoded = self.character_encoder(tokens.characters, tokens.character_lengths)  # (spellings, width)
            features = torch.cat([features, F.embedding(tokens.spellings, encoded)], 2)
        output, _ = self.context(self.embedding_dropout(features), lengths=tokens.lengths)  # (time, batch, width)
        scores: Tensor = self.output(self.output_dropout(output))
        return scores

    def loss(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Negative log-likelihood of the correct tags of each sentence, in nats, (batch,).

        Args:
            scores: from `forward`, (time, batch, tags).
            tags: correct tag of each token, IGNORE_INDEX in the padding, (time, batch).
            lengths: tokens of each sentence, integer (batch,).
        """
        if self.crf is not None:
            nats: Tensor = self.crf(scores, tags, lengths)
            return nats
        each = F.cross_entropy(scores.flatten(0, 1), tags.flatten(), ignore_index=IGNORE_INDEX, reduction="none")
        return each.view_as(tags).sum(0)

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The best tags of each sentence, (time, batch); undefined in the padding."""
        return scores.argmax(2) if self.crf is None else self.crf.decode(scores, lengths)[0]

    def probabilities(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """Probability of each tag of each token, given the sentence, (time, batch, tags); undefined in the padding."""
        return scores.softmax(2) if self.crf is None else self.crf.marginals(scores, lengths)
