"""Speech: what is said in a recording, by a recurrent acoustic model and connectionist temporal classification."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.neighbors import NearestNeighbors

from recurra.config import Recipe, Section, TrainingOptions
from recurra.data.alphabet import Alphabet
from recurra.data.buckets import Buckets, Collated, by_length
from recurra.data.sound import Utterance, read_utterances
from recurra.data.splits import all_but_train
from recurra.data.vocabulary import as_line
from recurra.models.ctc import Language, Reading, counted_language, greedy, prefix_beam
from recurra.models.recogniser import Heard, Recogniser, RecogniserOptions, RecogniserShape
from recurra.models.spectrogram import LogMel
from recurra.models.transcript_scores import transcript_scores, worst_transcripts
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.evaluation import inference
from recurra.tasks.examples import digest_of
from recurra.tasks.recordings import (
    Batch,
    Encoded,
    Features,
    RecordingOptions,
    check_recordings,
    collate,
    encode,
    find_recordings,
    long_enough,
    strings_of,
)
from recurra.tasks.task import Measure, Metrics, Report, StepLoss, parse_recipe, refuse_other_architecture

ALPHABET, TRANSCRIPTS = "alphabet.json", "transcripts.json"
JUDGED_AT_ONCE = 64  # recordings
NUM_SAMPLES = 2
NUM_SHOWN = 4  # recordings of each split whose probabilities are kept
THIRDS = 3  # parts of a recording whose mean features the nearest neighbour is found by
MOST_LEARNED = 50_000  # kinds of training transcripts that a language is counted from


class SpeechTraining(TrainingOptions):
    """The `[training]` section: the common one, and what counts."""

    batch_size: int = Field(32, ge=1, description="recordings side by side in a step, of about one length")
    criterion: Literal["wer", "cer", "exact", "loss"] = Field(
        "wer", description="metric on validation, of the likeliest alignments, that chooses the best epoch"
    )


class ReadingOptions(Section):
    """The `[decoding]` section: how transcripts are searched for."""

    beam: int = Field(8, ge=1, description="prefixes under way; 1 reads the likeliest alignment")
    language_weight: float = Field(
        0.0, ge=0, description="weight of symbols counted on the training transcripts, each after the two before it"
    )
    symbol_bonus: float = Field(0.0, description="nats that each symbol is worth; above 0 against a language's brevity")


class SpeechRecipe(Recipe):
    """A recipe for a recogniser."""

    task: Literal["speech"] = Field("speech", description="name of the task")
    data: RecordingOptions
    model: RecogniserOptions = RecogniserOptions()
    training: SpeechTraining = SpeechTraining()
    decoding: ReadingOptions = ReadingOptions()


class Judged(NamedTuple):
    """What the model makes of some recordings."""

    nats: float  # of all transcripts, where these are known
    log_probabilities: list[torch.Tensor]  # of each recording, (steps, symbols)


class Speech:
    """An alphabet, a recogniser, and the recordings it is trained and judged on.

    Args:
        recipe: what to train on what.
        alphabet: symbols of the training transcripts.
        longest: frames of the longest training recording.
        transcripts: what is said in training and how often, from which a language is counted.
    """

    name: ClassVar[str] = "speech"
    recipe_type: ClassVar[type[Recipe]] = SpeechRecipe
    item: ClassVar[str] = "symbol"

    def __init__(self, recipe: SpeechRecipe, alphabet: Alphabet, longest: int, transcripts: Mapping[str, int]) -> None:
        self.recipe, self.alphabet, self.transcripts = recipe, alphabet, dict(transcripts)
        self.front = LogMel(recipe.data.sample_rate, recipe.data.num_mels)
        self.shape = RecogniserShape(recipe.data.num_mels, len(alphabet), longest)
        self.model = Recogniser(self.shape, recipe.model)
        self.splits: dict[str, list[Utterance]] = {}
        self.encoded: dict[str, Encoded] = {}

    @property
    def headline(self) -> Measure:
        """The criterion where that is a score of transcripts, else errors of words."""
        name = self.recipe.training.criterion
        return Measure("wer" if name == "loss" else name, higher_is_better=name == "exact")

    @property
    def criterion(self) -> Measure:
        """As the recipe names it."""
        return Measure("loss") if self.recipe.training.criterion == "loss" else self.headline

    @classmethod
    def start(cls, recipe: SpeechRecipe, progress: Progress) -> Self:
        """A new model for the recordings the recipe names.

        Raises:
            DataError: they cannot be used.
            UsageError: an initialisation that does not fit the cell, or more mels than the sample rate allows.
        """
        splits = find_recordings(recipe.data, recipe.seed, progress)
        alphabet = Alphabet.of((one.transcript for one in splits["train"]), recipe.data.unit)
        front = LogMel(recipe.data.sample_rate, recipe.data.num_mels)
        longest = max(int(front.frames_in(torch.tensor(len(one.samples)))) for one in splits["train"])
        counts = Counter(one.transcript for one in splits["train"]).most_common(MOST_LEARNED)
        task = cls(recipe, alphabet, longest, dict(counts))
        task.take(splits, progress)
        task.model.normalise(torch.from_numpy(np.concatenate(task.encoded["train"].features)))
        return task

    @classmethod
    def check(cls, recipe: SpeechRecipe, progress: Progress) -> Json:
        """Counts, lengths, symbols and repetitions of the recordings the recipe names."""
        return check_recordings(find_recordings(recipe.data, recipe.seed, progress), recipe.data)

    @classmethod
    def restore(cls, run: Run) -> Self:
        """The model of a run as its architecture, without weights and recordings.

        Raises:
            RunError: missing, damaged, or of another task.
        """
        description, recipe = parse_recipe(run, SpeechRecipe)
        there = description["architecture"]
        transcripts = json.loads(run.read(TRANSCRIPTS))
        task = cls(recipe, Alphabet.parse(run.read(ALPHABET)), there["shape"]["longest"], transcripts)
        refuse_other_architecture(run, there, task.architecture)
        return task

    @property
    def architecture(self) -> Json:
        """What the model is built from."""
        return {"shape": self.shape._asdict(), **self.recipe.model.model_dump(mode="json")}

    def load_data(self, progress: Progress) -> None:
        """Read the recordings the recipe names.

        Raises:
            DataError: they cannot be used.
        """
        self.take(find_recordings(self.recipe.data, self.recipe.seed, progress), progress)

    def take(self, splits: dict[str, list[Utterance]], progress: Progress) -> None:
        """Encode recordings by split."""
        for split, utterances in splits.items():
            self.splits[split], self.encoded[split] = self.encode(utterances, progress)

    def encode(self, utterances: Sequence[Utterance], progress: Progress) -> tuple[list[Utterance], Encoded]:
        """Recordings, and the same as the model hears them.

        Raises:
            DataError: a symbol that the alphabet lacks, or a recording too short for its transcript.
        """
        encoded = encode(utterances, self.front, self.alphabet)
        reduction, on_short = self.recipe.model.time_reduction, self.recipe.data.on_short
        return long_enough(utterances, encoded, reduction, on_short, progress)

    def find_held_out(self, path: str, progress: Progress) -> dict[str, list[Utterance]]:
        """Other recordings to judge by, by split.

        Raises:
            DataError: they cannot be used.
        """
        options = self.recipe.data
        found = read_utterances(path, options.sounds, progress)
        found = all_but_train(found) or found
        return found if options.connected is None else strings_of(found, options, self.recipe.seed)

    def describe(self) -> tuple[Json, Mapping[str, str]]:
        """What model.json says, and the files that belong to the model."""
        transcripts = json.dumps(self.transcripts, ensure_ascii=False, indent=0)
        return {"architecture": self.architecture}, {ALPHABET: self.alphabet.dump(), TRANSCRIPTS: transcripts}

    def fingerprint(self) -> dict[str, str]:
        """Digest of the encoded recordings of each split."""
        return {
            split: digest_of(found.features, np.concatenate(found.targets)) for split, found in self.encoded.items()
        }

    def batches(self, epoch: int) -> Collated[Batch]:
        """Training recordings in batches of about one length, in an order of the epoch's own."""
        encoded, options = self.encoded["train"], self.recipe.training
        buckets = Buckets(encoded.lengths, options.batch_size, self.recipe.seed, epoch)
        return Collated(buckets.batches, partial(collate, encoded))

    def loss(self, batch: Batch, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean nats of a symbol of the right transcript, over all alignments of it."""
        batch = batch.to(self.model.output.weight.device)
        heard = self.model(batch.features, batch.lengths)
        num_symbols = int(batch.target_lengths.sum())
        return StepLoss(self.nats(heard, batch).sum() / num_symbols, num_symbols, None)

    def nats(self, heard: Heard, batch: Batch) -> torch.Tensor:
        """Nats of each right transcript, (batch,)."""
        return self.model.nats(heard, batch.targets, batch.target_lengths)

    @staticmethod
    def describe_loss(loss: float) -> str:
        """Nats of a symbol."""
        return f"loss {loss:.3f}"

    def judge(self, encoded: Encoded, progress: Progress, title: str) -> Judged:
        """What the model makes of each recording."""
        found: dict[int, torch.Tensor] = {}
        total, groups, device = 0.0, by_length(encoded.lengths, JUDGED_AT_ONCE), self.model.output.weight.device
        with inference(self.model), progress.stage(title, len(groups)) as advance:
            for indices in groups:
                batch = collate(encoded, indices).to(device)
                heard = self.model(batch.features, batch.lengths)
                total += float(self.nats(heard, batch).sum()) if batch.targets.numel() else 0.0
                for column, (index, steps) in enumerate(zip(indices.tolist(), heard.lengths.tolist(), strict=True)):
                    found[index] = heard.log_probabilities[:steps, column].cpu()
                advance(1)
        return Judged(total, [found[index] for index in range(len(found))])

    def likeliest(self, heard: Sequence[torch.Tensor]) -> list[str]:
        """What the likeliest alignment of each recording reads as, from log-probabilities (steps, symbols)."""
        found = []
        for several, lengths in side_by_side(heard):
            found += [self.alphabet.decode(symbols) for symbols in greedy(several, lengths)]
        return found

    def searched(self, heard: Sequence[torch.Tensor], options: ReadingOptions) -> list[list[Reading]]:
        """The best readings of each recording, from log-probabilities (steps, symbols)."""
        language = self.language() if options.language_weight else None
        weight, bonus = options.language_weight, options.symbol_bonus
        found = []
        for several, lengths in side_by_side(heard):
            found += prefix_beam(several, lengths, options.beam, language, weight, bonus)
        return found

    def language(self) -> Language:
        """Symbols counted on the training transcripts."""
        targets = [
            self.alphabet.encode(text, "").tolist() for text, count in self.transcripts.items() for _ in range(count)
        ]
        return counted_language(targets, len(self.alphabet))

    def texts_of(self, heard: Sequence[torch.Tensor], options: ReadingOptions) -> list[str]:
        """The transcript of each recording."""
        if options.beam == 1:
            return self.likeliest(heard)
        return [self.alphabet.decode(best[0].symbols) if best else "" for best in self.searched(heard, options)]

    def validate(self, progress: Progress) -> Metrics:
        """Loss on the validation recordings, and errors of the likeliest alignments."""
        encoded = self.encoded["valid"]
        judged = self.judge(encoded, progress, "validating")
        said = [one.transcript for one in self.splits["valid"]]
        loss = judged.nats / sum(map(len, encoded.targets))
        return {"loss": loss, **self.scores(said, self.likeliest(judged.log_probabilities))}

    def scores(self, said: Sequence[str], outputs: Sequence[str]) -> Metrics:
        """How close outputs come to what was said."""
        return transcript_scores(outputs, [as_line(text) for text in said])

    def report(self, progress: Progress) -> Report:
        """The model and its baselines on the validation and test recordings."""
        held_out = all_but_train(self.splits)
        metrics, details = self.evaluate(held_out, progress)
        return Report({"model": metrics, **self.baselines(held_out, progress)}, details)

    def evaluate(
        self, splits: Mapping[str, Sequence[Utterance]], progress: Progress
    ) -> tuple[dict[str, Metrics], Json]:
        """Scores of the model by split, and what a page is drawn from."""
        metrics, details = {}, {}
        for split, given in splits.items():
            is_own = given is self.splits.get(split)
            utterances, encoded = (given, self.encoded[split]) if is_own else self.encode(given, progress)
            judged = self.judge(encoded, progress, f"evaluating {split}")
            heard, said = judged.log_probabilities, [one.transcript for one in utterances]
            outputs = self.texts_of(heard, self.recipe.decoding)
            greedy_wer = self.scores(said, self.likeliest(heard))["wer"]
            metrics[split] = {"loss": judged.nats / sum(map(len, encoded.targets)), **self.scores(said, outputs)}
            metrics[split] |= {"greedy_wer": greedy_wer, "recordings": len(utterances)}
            worst = worst_transcripts(outputs, said, [one.place for one in utterances])
            shown = zip(encoded.features[:NUM_SHOWN], heard, outputs, said, strict=False)
            details[split] = {"worst": worst, "hearings": [self.hearing(*one) for one in shown]}
        return metrics, details

    def hearing(self, features: Features, heard: torch.Tensor, output: str, said: str) -> Json:
        """A recording and what was heard in it, as plain values.

        Returns:
            features (frames, mels), probabilities (steps, symbols), symbols, output and target.
        """
        return {
            "features": np.round(features, 2).tolist(),
            "probabilities": heard.exp().numpy().round(3).tolist(),
            "symbols": ["(blank)", *self.alphabet.symbols],
            "output": output,
            "target": said,
        }

    def baselines(
        self,
        splits: Mapping[str, Sequence[Utterance]],
        progress: Progress,  # noqa: ARG002
    ) -> dict[str, dict[str, Metrics]]:
        """What the most frequent training transcript reaches, and that of the training recording most alike."""
        frequent = max(self.transcripts, key=lambda text: self.transcripts[text])
        train = [one.transcript for one in self.splits["train"]]
        neighbours = NearestNeighbors(n_neighbors=1).fit(summaries(self.encoded["train"].features))
        found: dict[str, dict[str, Metrics]] = {"frequent": {}, "nearest": {}}
        for split, utterances in splits.items():
            said = [one.transcript for one in utterances]
            is_own = utterances is self.splits.get(split)
            features = (
                self.encoded[split].features if is_own else encode(utterances, self.front, self.alphabet).features
            )
            found["frequent"][split] = self.scores(said, [frequent] * len(said))
            nearest = neighbours.kneighbors(summaries(features), return_distance=False)[:, 0]
            found["nearest"][split] = self.scores(said, [train[at] for at in nearest])
        return found

    def samples(self) -> list[Json]:
        """The first validation recordings as they are heard."""
        shown = zip(self.encoded["valid"].features[:NUM_SAMPLES], self.splits["valid"], strict=False)
        return [{"features": features.tolist(), "transcript": one.transcript} for features, one in shown]

    def outputs_of(self, sample: Json) -> list[float]:
        """Log-probability of the blank and of each symbol at each step."""
        features = np.array(sample["features"], np.float32)
        encoded = Encoded([features], [self.alphabet.encode(sample["transcript"], "sample")])
        found: list[float] = self.judge(encoded, Progress(), "").log_probabilities[0].flatten().tolist()
        return found


def side_by_side(heard: Sequence[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Log-probabilities (steps, symbols) of recordings in batches (steps, batch, symbols), with their lengths."""
    found = []
    for first in range(0, len(heard), JUDGED_AT_ONCE):
        several = list(heard[first : first + JUDGED_AT_ONCE])
        lengths = torch.tensor([len(one) for one in several])
        found.append((torch.nn.utils.rnn.pad_sequence(several), lengths))
    return found


def summaries(features: Sequence[Features]) -> NDArray[np.float32]:
    """Mean features of each third of a recording, (recordings, 3 * mels)."""
    parts = [np.array_split(one, THIRDS) if len(one) >= THIRDS else [one] * THIRDS for one in features]
    return np.stack([np.concatenate([part.mean(0) for part in each]) for each in parts])
