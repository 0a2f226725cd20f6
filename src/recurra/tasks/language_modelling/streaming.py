"""A language model that reads one token at a time: for text that comes as it is typed, or is drawn from the model."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from recurra.errors import ShapeError, UsageError
from recurra.models.language_model import LanguageModel


class LanguageModelStream:
    """The steps of a language model as they come; made by `TrainedLanguageModel.stream()`.

    It begins where a line begins. The recurrent layers are an `nn.Stream`, with weights of its own; embedding and
    output are the model's, which must not be trained meanwhile.

    Args:
        model: the model, in evaluation mode.
        start: id of the token before a beginning.
        batch: texts that go on side by side; None for one.
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
            tokens: id of the next token, or (batch,) of them where the stream has a batch.

        Returns:
            Natural logarithm of the probability of each type to come next, (types,) or (batch, types).

        Raises:
            ShapeError: tokens of another shape.
            UsageError: a token that the vocabulary does not have.
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
        """Begin again, as if nothing had been read; returns what `step` does, of the first token."""
        self._recurrent.reset()
        return self.step(self._start)

    @property
    def state(self) -> Any:
        """State of the recurrent layers, in their form, as NumPy arrays; may be set."""
        return self._recurrent.state

    @state.setter
    def state(self, value: Any) -> None:
        self._recurrent.state = value
