"""A trained language model in use: the next word, the probability of a sentence, more text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.data.splits import held_out_splits
from recurra.data.text.corpus import encode_text
from recurra.data.text.files import find_text
from recurra.decoding.sampling import filtered_probabilities
from recurra.errors import DataError, UsageError
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks import LanguageModelling
from recurra.tasks.language_modelling.streaming import LanguageModelStream
from recurra.tasks.language_modelling.task import perplexity
from recurra.tasks.trained import TrainedModel


class NextToken(NamedTuple):
    """A token that may come next."""

    token: str
    probability: float


class Score(NamedTuple):
    """How likely a text is."""

    text: str
    log_probability: float  # nats, of the whole text
    perplexity: float  # per token
    tokens: int
    unknown: list[str]  # words that the vocabulary lacks, scored as <unk>


class TrainedLanguageModel(TrainedModel[LanguageModelling]):
    """A language model, ready to use; arguments and errors as of `TrainedModel`."""

    task_type = LanguageModelling

    def __init__(self, run: Run, device: str = "cpu") -> None:
        super().__init__(run, device)
        self.device = self.task.model.output.weight.device
        self.vocabulary = self.task.vocabulary

    def predict(self, text: str, top: int = 10) -> list[NextToken]:
        """The most likely next tokens.

        Args:
            text: what comes before, from the beginning of a line; may be empty.
            top: how many.

        Returns:
            The likeliest first. An end of the line is the token "\\n".

        Raises:
            UsageError: `top` is below 1.
        """
        if top < 1:
            raise UsageError(f"top: expected at least 1, got {top}")
        logits, _ = self.read(self.vocabulary.encode(text))
        best = logits.softmax(-1).topk(min(top, len(self.vocabulary)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [NextToken(self.vocabulary.token(id), probability) for id, probability in pairs]

    def score(self, text: str) -> Score:
        """The probability of a text that begins a line.

        Raises:
            DataError: the text has no tokens.
        """
        ids = self.vocabulary.encode(text)
        if not ids:
            raise DataError(f"text {text!r}: has no tokens to score")
        total = sum(self.task.log_probabilities(ids))
        return Score(text, total, perplexity(-total / len(ids)), len(ids), self.vocabulary.unknown_in(text))

    def generate(
        self,
        prompt: str = "",
        length: int = 100,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> str:
        """Text that goes on from a prompt; the prompt itself is not repeated.

        Args:
            prompt: what comes before, from the beginning of a line.
            length: tokens to write.
            temperature: above 1 bolder, below 1 safer; 0 always takes the most likely token.
            top_k: draw from this many of the most likely tokens only.
            top_p: draw from the most likely tokens that together hold this probability only.
            seed: same seed, same text.

        Raises:
            UsageError: a value outside its range.
        """
        return "".join(self.pieces(prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed))

    def stream(self, batch: int | None = None) -> LanguageModelStream:
        """The model one token at a time, from ids to NumPy arrays.

        Args:
            batch: texts that go on side by side; None for one.

        Returns:
            What owns the state, see `LanguageModelStream`: `.step(id)`, `.reset()`, `.state`.
        """
        return LanguageModelStream(self.task.model, self.vocabulary.start_id, batch)

    def pieces(self, prompt: str = "", length: int = 100, **options: Any) -> Iterator[str]:
        """The text of `generate`, with the same arguments, in pieces as they are drawn."""
        return self.vocabulary.stream(self.sample(prompt, length, **options))

    def sample(
        self,
        prompt: str,
        length: int,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> Iterator[int]:
        """Token ids of `generate`, one by one as they are drawn; `<unk>` is never drawn."""
        if length < 1:
            raise UsageError(f"length: expected at least 1, got {length}")
        generator = torch.Generator().manual_seed(seed) if seed is not None else None
        stream, (logits, state) = self.stream(), self.read(self.vocabulary.encode(prompt))
        stream.state = of_one(state)
        for _ in range(length):
            if self.vocabulary.unknown_id is not None:
                logits[self.vocabulary.unknown_id] = -torch.inf
            probabilities = filtered_probabilities(logits.cpu(), temperature, top_k, top_p)
            id = int(torch.multinomial(probabilities, 1, generator=generator))
            yield id
            logits = torch.from_numpy(stream.step(id))

    def evaluate(self, data: str | Path | None = None, progress: Progress | None = None) -> Json:
        """Perplexity of the model and, beside it, of unigrams and trigrams counted on its training text.

        Args:
            data: a text file, a folder or the name of a data set, whose validation and test text count where it is
                split; by default the held-out text of the run.
            progress: told how far it is.

        Returns:
            Metrics by model ("model", "unigram", "trigram") and by text ("valid", "test", or "text" where `data` is not
            split). The baselines are missing where the training text is no longer there.

        Raises:
            DataError: the text cannot be used, or the held-out text of the run is no longer what it was.
        """
        progress = progress or Progress()
        if data is None:
            return self.evaluate_held_out(progress)
        found = find_text(str(data))
        if "all" in found:
            found = {"text": found["all"]}
        held_out = held_out_splits(found) or found
        texts = {name: encode_text(text, self.vocabulary, progress, "encoding") for name, text in held_out.items()}
        metrics = {name: self.task.evaluate(tokens, progress) for name, tokens in texts.items()}
        return self.beside_baselines(metrics, lambda: self.task.baselines(texts, progress), "training text", progress)

    def join(self, prompt: str, text: str) -> str:
        """A prompt with what was generated after it, spaced as the unit of the vocabulary needs it."""
        apart = self.vocabulary.unit == "word" and prompt and not prompt[-1].isspace() and text[:1] not in "\n.,;:!?)]}"
        return f"{prompt}{' ' if apart else ''}{text}"

    def read(self, ids: list[int]) -> tuple[Tensor, Any]:
        """Logits (types,) after a text that begins a line, and the state there."""
        return self.step([self.vocabulary.start_id, *ids], None)

    def step(self, ids: list[int], state: Any) -> tuple[Tensor, Any]:
        """Logits (types,) after further tokens, and the state there."""
        with torch.no_grad():
            hidden, state = self.task.model.hidden(torch.tensor(ids, device=self.device).unsqueeze(1), state)
            return self.task.model.output(hidden[-1, 0]), state  # (types,)


def of_one(state: Any) -> Any:
    """The state of a batch of one, without the batch axis."""
    return state.squeeze(-2) if isinstance(state, Tensor) else tuple(of_one(part) for part in state)
