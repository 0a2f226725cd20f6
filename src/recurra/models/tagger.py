"""A recurrent tagger: a tag for every token, from its word, its characters and what stands around it."""

import itertools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from recurra.lengths import valid_steps
from recurra.models.stack import CellOrPerceptron, GatedCellName, StackOptions, build_stack, dropout_of, stack_width
from recurra.nn import Allowed, LinearChainCRF, both_ends
from recurra.nn.layers import LAYERS

UNCOUNTED = -1  # tag that costs nothing
REACH = 2  # neighbors on either side that a network without memory sees


class TaggerOptions(StackOptions):
    """The shape of the network and its dropout."""

    cell: CellOrPerceptron = Field(
        "lstm",
        description="kind of recurrent layer over the tokens; mlp is a network without memory, over each token and two "
        "neighbors on either side",
    )
    embedding_size: int = Field(100, ge=1, description="width of a word's vector")
    embedding_dropout: float = Field(0.3, ge=0, lt=1, description="dropout on what is known of a token by itself")
    characters: bool = Field(True, description="also read each token character by character, in both directions")
    character_cell: GatedCellName = Field("lstm", description="kind of recurrent layer over the characters")
    character_embedding_size: int = Field(30, ge=1, description="width of a character's vector")
    character_hidden_size: int = Field(50, ge=1, description="units of each direction over the characters")
    crf: bool = Field(True, description="choose the tags of a sentence together, by a conditional random field")


class TaggerShape(NamedTuple):
    """What a tagger reads."""

    num_words: int
    num_characters: int
    longest: int  # tokens of the longest training sentence


class Tokens(NamedTuple):
    """Sentences side by side. Each spelling that occurs stands there once."""

    words: Tensor  # ids (time, batch)
    lengths: Tensor  # (batch,)
    spellings: Tensor  # (time, batch), which of the columns of characters
    characters: Tensor  # ids (longest, spellings)
    character_lengths: Tensor  # (spellings,)

    def to(self, device: torch.device) -> "Tokens":
        """The same on a device; lengths stay where they are."""
        return self._replace(
            words=self.words.to(device), spellings=self.spellings.to(device), characters=self.characters.to(device)
        )


class Speller(nn.Module):
    """What a token looks like: a recurrent layer in both directions over its characters, read out at its ends.

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
        """From ids (longest, spellings) to features (spellings, width)."""
        (forward, backward), _ = self.recurrent(self.embedding(characters), lengths=lengths)
        return both_ends(forward, backward, lengths)


class Neighborhood(nn.Module):
    """Layers without memory over each token and its neighbors; zeros stand before and behind a sentence.

    Args:
        features: of a token.
        options: widths and dropout.
    """

    def __init__(self, features: int, options: TaggerOptions) -> None:
        super().__init__()
        widths = [features * (2 * REACH + 1), *options.hidden_size]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in itertools.pairwise(widths))
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, features: Tensor, *, lengths: Tensor) -> tuple[Tensor, None]:
        """From features (time, batch, features) to features (time, batch, width)."""
        time = len(features)
        inside = valid_steps(lengths.to(features.device), time).unsqueeze(2)
        padded = F.pad(features.where(inside, 0), (0, 0, 0, 0, REACH, REACH))
        hidden = torch.cat([padded[step : step + time] for step in range(2 * REACH + 1)], 2)
        for index, layer in enumerate(self.layers):
            hidden = layer(self.dropout(hidden) if index else hidden).relu()
        return hidden, None


class Tagger(nn.Module):
    """Word vectors and features of the spelling, recurrent layers, a score for each tag, and what goes between tags.

    Args:
        shape: what it reads.
        num_tags: between how many tags it decides.
        options: shape and dropout.
        allowed: sequences of tags that there are, for the conditional random field; None for all.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    def __init__(
        self, shape: TaggerShape, num_tags: int, options: TaggerOptions, allowed: Allowed | None = None
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.num_words, options.embedding_size)
        self.speller = Speller(shape.num_characters, options) if options.characters else None
        self.embedding_dropout = dropout_of(options.embedding_dropout, options.locked_dropout)
        features = options.embedding_size + (self.speller.width if self.speller else 0)
        self.context: nn.Module
        if options.cell == "mlp":
            self.context, width = Neighborhood(features, options), options.hidden_size[-1]
        else:
            self.context, width = build_stack(options.cell, features, options, shape.longest), stack_width(options)
        self.output_dropout = dropout_of(options.output_dropout, options.locked_dropout)
        self.output = nn.Linear(width, num_tags)
        self.crf = LinearChainCRF(num_tags, allowed=allowed) if options.crf else None

    def forward(self, tokens: Tokens) -> Tensor:
        """Score of each tag at each token by itself, (time, batch, tags)."""
        features = self.embedding(tokens.words)  # (time, batch, embedding)
        if self.speller is not None:
            spelled = self.speller(tokens.characters, tokens.character_lengths)  # (spellings, width)
            features = torch.cat([features, F.embedding(tokens.spellings, spelled)], 2)
        output, _ = self.context(self.embedding_dropout(features), lengths=tokens.lengths)  # (time, batch, width)
        scores: Tensor = self.output(self.output_dropout(output))
        return scores

    def loss(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Nats of the right tags of each sentence.

        Args:
            scores: (time, batch, tags).
            tags: right tag at each token, UNCOUNTED in the padding, (time, batch).
            lengths: tokens of each sentence, (batch,).

        Returns:
            (batch,).
        """
        if self.crf is not None:
            nats: Tensor = self.crf(scores, tags, lengths)
            return nats
        each = F.cross_entropy(scores.flatten(0, 1), tags.flatten(), ignore_index=UNCOUNTED, reduction="none")
        return each.view_as(tags).sum(0)

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The best tags of each sentence, (time, batch); in the padding anything."""
        return scores.argmax(2) if self.crf is None else self.crf.decode(scores, lengths)[0]

    def probabilities(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """Probability of each tag at each token, given the sentence, (time, batch, tags); in the padding anything."""
        return scores.softmax(2) if self.crf is None else self.crf.marginals(scores, lengths)
