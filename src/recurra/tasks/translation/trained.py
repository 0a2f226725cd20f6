"""A trained translator in use."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from recurra.data.text.pairs import Pair, read_sources
from recurra.data.text.vocabulary import collapse_spaces
from recurra.decoding.beam import Search, build_search, sampling_search
from recurra.decoding.sampling import MAX_SEED, filtered_probabilities
from recurra.errors import DataError, UsageError
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks import seq2seq
from recurra.tasks.seq2seq import GeneratedText, SearchOptions, refuse_plot, table_of
from recurra.tasks.trained import Input, Table, TrainedModel, Verb
from recurra.tasks.translation.data import PairOptions, TextSources
from recurra.tasks.translation.task import Translation


class TranslatedText(NamedTuple):
    """The translations of one text."""

    source: str
    texts: list[GeneratedText]  # the best first
    alignment: Json  # of the best: "source" and "target", their tokens, and "weights" (target, source) of the attention
    unknown: list[str]  # words of the source that are not in the vocabulary

    @property
    def text(self) -> str:
        """The best translation."""
        return self.texts[0].text

    def pieces(self) -> Iterator[str]:
        """The same for printing, marked where the maximum length cut it off."""
        yield self.texts[0].shown

    def as_json(self) -> Json:
        """All fields."""
        return {**self._asdict(), "texts": [one._asdict() for one in self.texts]}

    def as_table(self) -> Table | None:
        """A row for each translation, where there are several."""
        return table_of(self.source, self.texts)


class PredictOptions(SearchOptions):
    """Options of `predict`."""

    sample: bool = Field(False, description="sample each token instead of searching for the best text")
    temperature: float | None = Field(None, description="of sample: above 1 bolder, below 1 safer; by default 1")
    top_k: int | None = Field(None, ge=1, description="of sample: only this many of the most probable tokens")
    top_p: float | None = Field(
        None, gt=0, le=1, description="of sample: only the most probable tokens that together have this probability"
    )
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="of sample: the same seed gives the same text")

    def refuse_without_effect(self) -> None:
        """Refuse options of a search beside `sample`, and those of sampling without it.

        Raises:
            UsageError: there is one.
        """
        for name in SearchOptions.model_fields if self.sample else ("temperature", "top_k", "top_p", "seed"):
            if getattr(self, name) != type(self).model_fields[name].default:
                option = f"--{name.replace('_', '-')}"
                if self.sample:
                    raise UsageError(
                        f"{option} is for a search; give no {option} beside --sample, which generates one text"
                    )
                raise UsageError(f"{option} is for --sample; give --sample beside {option}, or leave it out")

    @cached_property
    def generator(self) -> torch.Generator:
        """Random numbers from the seed, or from the operating system; texts answered later go on with them."""
        generator = torch.Generator()
        generator.manual_seed(generator.seed() if self.seed is None else self.seed)
        return generator

    @property
    def sampling(self) -> Search:
        """The search that samples each token."""

        def sample(log_probabilities: Tensor) -> Tensor:
            temperature = 1.0 if self.temperature is None else self.temperature
            shares = filtered_probabilities(log_probabilities.cpu(), temperature, self.top_k, self.top_p or 1.0)
            return torch.multinomial(shares, 1, generator=self.generator).squeeze(1).to(log_probabilities.device)

        return sampling_search(sample)


def predict(
    model: "TrainedTranslator", inputs: list[Input], options: PredictOptions, progress: Progress
) -> list[TranslatedText]:
    """The translations of each text.

    Raises:
        DataError: an empty text.
        UsageError: an option without effect, or a value outside its range.
    """
    options.refuse_without_effect()
    empty = next((number for number, one in enumerate(inputs, 1) if not one.value.strip()), None)
    if empty is not None:
        raise DataError(f"text {empty} of {len(inputs)}: empty, so there is nothing to translate; leave it out")
    search = options.sampling if options.sample else build_search(options.beam_options(model.task.recipe.decoding))
    source = model.task.vocabularies.source
    sources = TextSources([source.encode_line(one.value) for one in inputs])
    found = seq2seq.generate(model.task, sources, search, progress)
    answers = []
    for one, hypotheses in zip(inputs, found, strict=True):
        pair = Pair(one.value, "", "")
        texts = [GeneratedText.of(model.task.text_of(pair, hypothesis), hypothesis) for hypothesis in hypotheses]
        unknown = source.unknown_in(collapse_spaces(one.value))
        answers.append(TranslatedText(one.value, texts, model.task.attention_of(pair, hypotheses[0]), unknown))
    return answers


class TrainedTranslator(TrainedModel[Translation]):
    """A translator, ready to use; arguments and errors as of `TrainedModel`."""

    verbs: ClassVar[Mapping[str, Verb]] = {"predict": Verb(PredictOptions, predict)}
    batch_size: ClassVar[int] = 64
    pipe_batch_size: ClassVar[int] = 64
    plots = "asked"
    translate = TrainedModel.predict

    def read_file(self, path: str, options: Mapping[str, Any], progress: Progress) -> Iterator[Input]:
        """The sources of a table or the lines of a file."""
        chosen = PairOptions.parse({**dict(self.task.recipe.data), **options}, path)
        for text in read_sources(path, chosen.sides, progress):
            yield Input(text, text)

    def figures(self, answers: Sequence[TranslatedText]) -> Sequence[Any]:
        """Attention weights of each translation.

        Raises:
            UsageError: the model has no attention.
        """
        from recurra.figures.pages import LazyFigures
        from recurra.tasks.translation.page import alignment_figure

        refuse_plot(self.run, self.task.recipe.model.attention)
        return LazyFigures(answers, lambda one: alignment_figure(one.alignment))


TRAINED = TrainedTranslator
