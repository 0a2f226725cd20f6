"""A trained language model in use: the next token, the probability of a text, more text."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from recurra.config import Section
from recurra.decoding.sampling import MAX_SEED, filtered_probabilities
from recurra.errors import DataError
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.language_modelling.streaming import LanguageModelStream
from recurra.tasks.language_modelling.task import LanguageModelling, perplexity
from recurra.tasks.trained import Input, StreamedText, Table, TrainedModel, Verb

# --- answers -------------------------------------------------------------------------------------------------------


class NextToken(NamedTuple):
    """A token that may come next."""

    token: str  # the end of a line is "\n"
    probability: float


class NextTokens(NamedTuple):
    """The most probable next tokens after a text."""

    input: str  # the text before them
    next: list[NextToken]  # the most probable first

    @property
    def text(self) -> str:
        """The most probable token."""
        return self.next[0].token

    def as_json(self) -> Json:
        """The text before, and each token with its probability."""
        return {"text": self.input, "next": [one._asdict() for one in self.next]}

    def as_table(self) -> Table:
        """A row for each token; the text before stands in the header."""
        rows = [(printable(token), f"{probability:.4f}") for token, probability in self.next]
        return Table((f"{self.input} ...", "probability"), rows)


class Score(NamedTuple):
    """The probability of a text that begins a line."""

    input: str  # the text
    log_probability: float  # nats, of the whole text
    perplexity: float  # per token
    tokens: int
    unknown: list[str]  # words that are not in the vocabulary, scored as <unk>

    @property
    def text(self) -> str:
        """The log-probability."""
        return f"{self.log_probability:.2f}"

    def as_json(self) -> Json | None:
        """All fields, the text as `text`; None for a text without tokens."""
        values = self._asdict()
        return {"text": values.pop("input"), **values} if self.tokens else None

    def as_table(self) -> Table:
        """One row, which is empty for a text without tokens."""
        row = (f"{self.log_probability:.2f}", f"{self.perplexity:,.1f}", f"{self.tokens}", " ".join(self.unknown))
        columns = ("text", "log-probability", "perplexity", "tokens", "unknown")
        return Table(columns, [(self.input, *row) if self.tokens else ("",) * len(columns)], "rows")


class GeneratedText(NamedTuple):
    """A text that continues a prompt, produced while it is read.

    Args:
        continuation: the text, without the prompt.
        prompt: what comes before it.
        join: puts prompt and the first piece together.
    """

    continuation: StreamedText
    prompt: str
    join: Callable[[str, str], str]

    def pieces(self) -> Iterator[str]:
        """The prompt with the first piece, then the others, as they are produced; nothing that was read before."""
        pieces = self.continuation.pieces()
        for first in pieces:
            yield self.join(self.prompt, first)
            yield from pieces

    @property
    def text(self) -> str:
        """The whole text, without the prompt."""
        return self.continuation.text

    def as_json(self) -> Json:
        """The prompt, and the whole text without it."""
        return self.continuation.as_json()

    def as_table(self) -> None:
        """None."""
        return


def printable(token: str) -> str:
    """A token as it is; in quotes, with escapes, where spaces or line ends would not be visible."""
    return token if token.isprintable() and token == token.strip() else repr(token)


# --- verbs ---------------------------------------------------------------------------------------------------------


class PredictOptions(Section):
    """Options of `predict`."""

    top: int = Field(10, ge=1, description="number of next tokens, the most probable first")
    score: bool = Field(False, description="compute log-probability and perplexity of each text instead")


class GenerateOptions(Section):
    """Options of `generate`."""

    length: int = Field(100, ge=1, description="number of tokens to generate")
    temperature: float = Field(
        0.8, ge=0, description="softmax temperature: above 1 more varied, below 1 less; 0 takes the most probable token"
    )
    top_k: int | None = Field(None, ge=1, description="sample from this many of the most probable tokens only")
    top_p: float = Field(
        1.0, gt=0, le=1, description="sample from the most probable tokens up to this total probability only"
    )
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="same seed, same text")


def predict(
    model: "TrainedLanguageModel", inputs: list[Input], options: PredictOptions, progress: Progress
) -> list[NextTokens] | list[Score]:
    """The next tokens after each text, or the probability of each text."""
    if options.score:
        return [model.score(one.value) if one.value.strip() else Score("", 0.0, 1.0, 0, []) for one in inputs]
    for one in inputs:
        model.note_unknown(one.value, progress)
    return [NextTokens(one.value, model.next_tokens(one.value, options.top)) for one in inputs]


def generate(
    model: "TrainedLanguageModel", inputs: list[Input], options: GenerateOptions, progress: Progress
) -> list[GeneratedText]:
    """A text that continues each prompt."""
    answers = []
    for one in inputs:
        model.note_unknown(one.value, progress)
        text = StreamedText(("prompt", one.value), model.pieces(one.value, **dict(options)))
        answers.append(GeneratedText(text, one.value, model.join))
    return answers


# --- the model in use ----------------------------------------------------------------------------------------------


class TrainedLanguageModel(TrainedModel[LanguageModelling]):
    """A language model, ready to use; arguments and errors as of `TrainedModel`."""

    verbs: ClassVar[Mapping[str, Verb]] = {
        "predict": Verb(PredictOptions, predict),
        "generate": Verb(GenerateOptions, generate, default=""),
    }
    answers_blank: ClassVar[bool] = True

    def __init__(self, run: Run, device: str = "cpu") -> None:
        super().__init__(run, device)
        self.device = self.task.model.output.weight.device
        self.vocabulary = self.task.vocabulary

    def read_file(self, path: str, options: Mapping[str, Any], progress: Progress) -> Iterator[Input]:  # noqa: ARG002
        """The lines of a file, or the column `text` of a table."""
        from recurra.data.text.labelled import read_texts

        for text in read_texts(path, "text"):
            yield Input(text, text)

    def note_unknown(self, text: str, progress: Progress) -> None:
        """Note the words of a text that are not in the vocabulary."""
        unknown = self.vocabulary.unknown_in(text)
        if unknown:
            progress.note(f"not in the vocabulary, read as <unk>: {' '.join(dict.fromkeys(unknown))}")

    def next_tokens(self, text: str, top: int) -> list[NextToken]:
        """The `top` most probable tokens after a text that begins a line."""
        logits, _ = self.logits_after(self.vocabulary.encode(text))
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

    def generate(self, prompt: str = "", **options: Any) -> str:
        """A text that continues one prompt, without the prompt itself.

        Args:
            prompt: what comes before, from the beginning of a line.
            options: fields of `GenerateOptions`: length, temperature, top_k, top_p, seed.

        Raises:
            UsageError: an unknown option, or a value outside its range.
        """
        return "".join(self.pieces(prompt, **options))

    def pieces(self, prompt: str = "", **options: Any) -> Iterator[str]:
        """The text of `generate` in pieces, as they are sampled; arguments and errors as there."""
        return self.vocabulary.stream(self.sample(prompt, GenerateOptions.parse(options, "generate")))

    def sample(self, prompt: str, options: GenerateOptions) -> Iterator[int]:
        """Token ids of a text that continues a prompt, as they are sampled; `<unk>` never is."""
        generator = torch.Generator().manual_seed(options.seed) if options.seed is not None else None
        stream, (logits, state) = self.stream(), self.logits_after(self.vocabulary.encode(prompt))
        stream.state = without_batch(state)
        for _ in range(options.length):
            if self.vocabulary.unknown_id is not None:
                logits[self.vocabulary.unknown_id] = -torch.inf
            probabilities = filtered_probabilities(logits.cpu(), options.temperature, options.top_k, options.top_p)
            id = int(torch.multinomial(probabilities, 1, generator=generator))
            yield id
            logits = torch.from_numpy(stream.step(id))  # (vocabulary,)

    def stream(self, batch: int | None = None) -> LanguageModelStream:
        """The model one token at a time, from ids to NumPy arrays.

        Args:
            batch: number of texts that continue side by side; None for one.

        Returns:
            A stream that owns the state, see `LanguageModelStream`: `.step(id)`, `.reset()`, `.state`.
        """
        return LanguageModelStream(self.task.model, self.vocabulary.start_id, batch)

    def join(self, prompt: str, text: str) -> str:
        """A prompt with the text generated after it; between words there is a space."""
        apart = self.vocabulary.unit == "word" and prompt and not prompt[-1].isspace() and text[:1] not in "\n.,;:!?)]}"
        return f"{prompt}{' ' if apart else ''}{text}"

    def logits_after(self, ids: list[int]) -> tuple[Tensor, Any]:
        """Logits (vocabulary,) of the next token after a text that begins a line, and the state there."""
        inputs = torch.tensor([self.vocabulary.start_id, *ids], device=self.device).unsqueeze(1)  # (time, 1)
        with torch.no_grad():
            hidden, state = self.task.model.hidden(inputs)  # (time, 1, hidden)
            return self.task.model.output(hidden[-1, 0]), state


def without_batch(state: Any) -> Any:
    """The state of a batch of one, without the batch axis."""
    return state.squeeze(-2) if isinstance(state, Tensor) else tuple(without_batch(part) for part in state)


TRAINED = TrainedLanguageModel
