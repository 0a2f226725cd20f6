"""A language model one token at a time, from ids to NumPy arrays: for text that is typed or sampled."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from recurra.errors import ShapeError, UsageError
from recurra.models.language_model import LanguageModel


class LanguageModelStream:
    """A language model one token at a time; made by `TrainedLanguageModel.stream()`.

    It starts at the beginning of a line. The recurrent layers are an `nn.Stream`, which has a copy of their weights;
    embedding and output layer are those of the model, which must not be trained meanwhile.

    Args:
        model: in evaluation mode.
        start: id of the token before the first one.
        batch: number of texts that continue side by side; None for one.
    """

    def __init__(self, model: LanguageModel, start: int, batch: int | None = None) -> None:
        self._model = model
        self._recurrent = model.recurrent.stream(batch)
        self._shape = () if batch is None else (batch,)
        self._start = np.full(self._shape, start)
        self.reset()

    def step(self, tokens: ArrayLike) -> NDArray[Any]:
        """Read one token of each text.

        Args:
            tokens: id of the next token, or ids (batch,) if the stream has a batch.

        Returns:
            Natural logarithm of the probability of each type to come next, (vocabulary,) or (batch, vocabulary).

        Raises:
            ShapeError: tokens of another shape, or no integers.
            UsageError: an id outside the vocabulary.
        """
        ids = np.asarray(tokens)
        if ids.shape != self._shape or not np.issubdtype(ids.dtype, np.integer):
            raise ShapeError(f"stream step: expected integer ids of shape {self._shape}, got {ids.dtype} {ids.shape}")
        types = self._model.embedding.num_embeddings
        if ids.min() < 0 or ids.max() >= types:
            raise UsageError(f"stream step: expected ids in 0 .. {types - 1}, got {ids.min()} to {ids.max()}")
        with torch.inference_mode():
            output = self._model.output
            vectors = self._model.embedding(torch.as_tensor(ids.astype(np.int64), device=output.weight.device))
            hidden = torch.from_numpy(self._recurrent.step(vectors.float().cpu().numpy())).to(output.weight)
            found: NDArray[Any] = output(hidden).float().log_softmax(-1).cpu().numpy()
        return found

    def reset(self) -> NDArray[Any]:
        """Go back to the beginning of a line; returns the log-probabilities of the first token, as `step` does."""
        self._recurrent.reset()
        return self.step(self._start)

    @property
    def state(self) -> Any:
        """State of the recurrent layers as NumPy arrays, in their form; may be set."""
        return self._recurrent.state

    @state.setter
    def state(self, value: Any) -> None:
        self._recurrent.state = value
