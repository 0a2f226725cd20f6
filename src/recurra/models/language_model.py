"""A recurrent language model: embedding, a stack of recurrent layers, softmax over the vocabulary."""

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.models.stack import CellName, WidthOptions, Widths, dropout_of
from recurra.nn import drop_words
from recurra.nn.layers import LAYERS


class LanguageModelOptions(WidthOptions):
    """The `[model]` options of a language model."""

    embedding_size: int = Field(200, ge=1, description="size of a token embedding")
    cell: CellName = Field("lstm", description="kind of recurrent layer")
    hidden_size: Widths = Field([256, 128], description="units of each layer, bottom first")
    tie_embeddings: bool = Field(False, description="use the embedding table as output weights")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout between layers")
    embedding_dropout: float = Field(0.3, ge=0, lt=1, description="dropout on token embeddings")
    output_dropout: float = Field(0.3, ge=0, lt=1, description="dropout before the softmax")
    word_dropout: float = Field(
        0.0, ge=0, lt=1, description="probability of dropping a token's whole embedding, everywhere in a window"
    )
    locked_dropout: bool = Field(True, description="keep a dropout mask for all steps of a window")
    initial_range: float | None = Field(
        None,
        gt=0,
        description="draw all weights uniformly from +-initial_range instead of the layers' default initialization",
    )

    @model_validator(mode="after")
    def tied_weights_fit(self) -> "LanguageModelOptions":
        """Tied weights have one shape."""
        if self.tie_embeddings and self.hidden_size[-1] != self.embedding_size:
            raise ValueError(
                f"with tied weights the last hidden_size ({self.hidden_size[-1]}) equal to embedding_size "
                f"({self.embedding_size})"
            )
        return self


class LanguageModel(nn.Module):
    """Predicts each next token from the tokens before it.

    Args:
        vocabulary_size: size of the vocabulary.
        options: architecture and dropout.
    """

    def __init__(self, vocabulary_size: int, options: LanguageModelOptions) -> None:
        super().__init__()
        self.word_dropout = options.word_dropout
        self.embedding = nn.Embedding(vocabulary_size, options.embedding_size)
        self.embedding_dropout = dropout_of(options.embedding_dropout, options.locked_dropout)
        between = options.dropout if len(options.hidden_size) > 1 else 0.0
        self.recurrent = LAYERS[options.cell](
            options.embedding_size, options.hidden_size, dropout=between, locked_dropout=options.locked_dropout
        )
        self.output_dropout = dropout_of(options.output_dropout, options.locked_dropout)
        self.output = nn.Linear(options.hidden_size[-1], vocabulary_size)
        if options.initial_range is not None:
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -options.initial_range, options.initial_range)
        if options.tie_embeddings:
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)  # a range for output weights, which these are too
            self.output.weight = self.embedding.weight

    def initialize_output_bias(self, frequencies: Tensor) -> None:
        """Set the output bias so that an untrained model predicts each token by its frequency, (vocabulary,).

        Otherwise training first learns the frequencies by saturating all hidden units, where gradients vanish: with
        Adam a model of 4,000 words never recovered.
        """
        with torch.no_grad():
            self.output.bias.copy_(frequencies.log())

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Logits of the next token at every step.

        Args:
            inputs: token ids, (time, batch).
            state: from the previous call, to continue a text; None at the beginning.

        Returns:
            Logits (time, batch, vocabulary) and the state after the last step.
        """
        hidden, state = self.hidden(inputs, state)
        return self.output(hidden), state  # (time, batch, vocabulary)

    def hidden(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The input of the output layer at every step, (time, batch, hidden), and the state after the last step.

        Args as of `forward`.
        """
        table = drop_words(self.embedding.weight, self.word_dropout, self.training)
        vectors = self.embedding_dropout(F.embedding(inputs, table))  # (time, batch, embedding)
        hidden, state = self.recurrent(vectors, state)  # (time, batch, hidden)
        return self.output_dropout(hidden), state

    def detach(self, state: Any) -> Any:
        """The state detached from its graph, for truncated backpropagation through time."""
        return state.detach() if isinstance(state, Tensor) else tuple(self.detach(part) for part in state)
