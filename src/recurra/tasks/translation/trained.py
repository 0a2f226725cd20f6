"""A trained translator in use."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.data.text.pairs import Pair
from recurra.data.text.vocabulary import collapse_spaces
from recurra.decoding.beam import Hypothesis, Search, build_search, sampling_search
from recurra.decoding.sampling import filtered_probabilities
from recurra.errors import DataError
from recurra.progress import Progress
from recurra.runs import Json
from recurra.tasks import Translation
from recurra.tasks.trained import TrainedOnExamples, refuse_one


class Rendering(NamedTuple):
    """One translation of a text."""

    text: str
    log_probability: float  # nats, of the whole translation
    score: float  # by which translations of one text are ranked
    complete: bool  # False where the longest length cut it off

    @classmethod
    def of(cls, text: str, found: Hypothesis) -> "Rendering":
        """What was found, as text."""
        return cls(text, found.log_probability, found.score, found.complete)


class TranslatedText(NamedTuple):
    """What a translator makes of a text."""

    source: str
    renderings: list[Rendering]  # the best first
    alignment: Json  # of the best: "source" and "target", their tokens, and "weights" (target, source): what was read
    unknown: list[str]  # what of the source the vocabulary lacks

    @property
    def text(self) -> str:
        """The best translation."""
        return self.renderings[0].text


class TrainedTranslator(TrainedOnExamples[Translation]):
    """A translator, ready to use; arguments and errors as of `TrainedModel`."""

    task_type = Translation

    def translate(
        self,
        sources: Sequence[str],
        *,
        beam: int | None = None,
        num_best: int = 1,
        length_penalty: float | None = None,
        coverage_penalty: float | None = None,
        progress: Progress | None = None,
    ) -> list[TranslatedText]:
        """The best translations of each text.

        Args:
            sources: texts, each a line.
            beam: hypotheses under way, at least `num_best`; 1 goes on with the likeliest token alone. By default, as
                what follows, that of the recipe.
            num_best: translations of each text.
            length_penalty: 0 prefers short ones, 1 is nearly the mean log-probability.
            coverage_penalty: above 0 punishes source that nothing was read of.
            progress: told how far it is.

        Raises:
            DataError: an empty text.
            UsageError: a value outside its range, or a single text instead of a list.
        """
        penalties = {"length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
        rules = self.task.recipe.decoding.given(num_best, beam=beam, **penalties)
        return self.told(sources, build_search(rules), progress)

    def sample(
        self,
        sources: Sequence[str],
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int | torch.Generator | None = None,
    ) -> list[TranslatedText]:
        """A translation of each text whose tokens are drawn.

        Args:
            sources: texts, each a line.
            temperature: above 1 bolder, below 1 safer; 0 always takes the most likely token.
            top_k: draw from this many of the most likely tokens only.
            top_p: draw from the most likely tokens that together hold this probability only.
            seed: same seed, same translations; or a generator, which goes on from where it is.

        Raises:
            DataError: an empty text.
            UsageError: a value outside its range, or a single text instead of a list.
        """
        generator = seed if isinstance(seed, torch.Generator) else generator_of(seed)

        def draw(log_probabilities: Tensor) -> Tensor:
            shares = filtered_probabilities(log_probabilities.cpu(), temperature, top_k, top_p)
            return torch.multinomial(shares, 1, generator=generator).squeeze(1).to(log_probabilities.device)

        return self.told(sources, sampling_search(draw), None)

    def told(self, sources: Sequence[str], search: Search, progress: Progress | None) -> list[TranslatedText]:
        """What a search finds for each source."""
        refuse_one(sources, "translate")
        empty = next((number for number, source in enumerate(sources, 1) if not source.strip()), None)
        if empty is not None:
            raise DataError(f"text {empty} of {len(sources)}: empty, so nothing to translate; leave it out")
        ids = [self.task.vocabularies.source.encode_line(source) for source in sources]
        found = self.task.write(ids, search, progress or Progress())
        return [self.translated(source, best) for source, best in zip(sources, found, strict=True)]

    def translated(self, source: str, found: Sequence[Hypothesis]) -> TranslatedText:
        """A source with what was found for it."""
        pair = Pair(source, "", "")
        renderings = [Rendering.of(self.task.text_of(pair, one), one) for one in found]
        unknown = self.task.vocabularies.source.unknown_in(collapse_spaces(source))
        return TranslatedText(source, renderings, self.task.reading(pair, found[0]), unknown)


def generator_of(seed: int | None) -> torch.Generator:
    """Random numbers of a seed, or of none in particular."""
    generator = torch.Generator()
    generator.manual_seed(generator.seed() if seed is None else seed)
    return generator
