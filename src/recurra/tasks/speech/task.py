"""Speech: what is said in a recording, by a recurrent acoustic model and connectionist temporal classification."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator
from sklearn.neighbors import NearestNeighbors

from recurra.config import Recipe, Section, TrainingOptions
from recurra.data.batches import CollatedBatches, bucket_by_length, longest_first
from recurra.data.media.sound import Utterance
from recurra.data.text.alphabet import Alphabet
from recurra.decoding.ctc import (
    CTCHypothesis,
    SymbolLanguageModel,
    greedy_decode,
    greedy_hypotheses,
    prefix_beam_search,
    trigram_language_model,
)
from recurra.errors import DataError
from recurra.metrics.texts import highest_cer_transcripts, transcript_scores
from recurra.models.recognizer import Recognizer, RecognizerOptions, RecognizerOutput, RecognizerShape
from recurra.nn.spectrogram import LogMel
from recurra.progress import Progress
from recurra.runs import Json, Run
from recurra.tasks.evaluation import inference
from recurra.tasks.speech.data import (
    JUDGED_AT_ONCE,
    UNHEARD,
    Batch,
    Encoded,
    Features,
    RecordingOptions,
    check_recordings,
    collate,
    encode,
    find_held_out,
    find_recordings,
    long_enough,
    side_by_side,
    summaries,
)
from recurra.tasks.supervised import JudgedTask
from recurra.tasks.task import Metric, Metrics, StepLoss, parse_recipe, refuse_other_architecture

ALPHABET, TRANSCRIPTS = "alphabet.json", "transcripts.json"
NUM_SAMPLES = 2
NUM_SHOWN = 4  # recordings of each split whose probabilities are kept
MOST_LEARNED = 50_000  # kinds of training transcripts that a language is counted from


class SpeechTraining(TrainingOptions):
    """The `[training]` section: the common one, and what counts."""

    batch_size: int = Field(32, ge=1, description="recordings side by side in a step, of about one length")
    select_by: Literal["wer", "cer", "exact", "loss"] = Field(
        "wer", description="metric on validation, of the likeliest alignments, that chooses the best epoch"
    )


class ReadingOptions(Section):
    """The `[decoding]` section: how transcripts are searched for."""

    beam: int = Field(8, ge=1, description="prefixes under way; 1 reads the likeliest alignment")
    lm_weight: float = Field(
        0.0, ge=0, description="weight of symbols counted on the training transcripts, each after the two before it"
    )
    insertion_bonus: float = Field(
        0.0,
        description="nats added for each symbol; above 0 makes up for a language model that prefers short texts",
    )

    @field_validator("lm_weight", "insertion_bonus")
    @classmethod
    def of_a_search(cls, value: float, info: ValidationInfo) -> float:
        """The likeliest alignment is what it is."""
        if value and info.data.get("beam") == 1:
            raise ValueError("0 beside a beam of 1, which reads the likeliest alignment")
        return value

    def given(self, num_best: int, **options: float | None) -> Self:
        """The same with some options that are asked for, those that are None left as they are.

        Raises:
            UsageError: a value outside its range.
        """
        chosen = {name: value for name, value in options.items() if value is not None}
        found = self.parse({**self.model_dump(), **chosen}, "decoding")
        return found.model_copy(update={"beam": max(found.beam, num_best)})


class SpeechRecipe(Recipe):
    """A recipe for a recognizer."""

    task: Literal["speech"] = Field("speech", description="name of the task")
    data: RecordingOptions
    model: RecognizerOptions = RecognizerOptions()
    training: SpeechTraining = SpeechTraining()
    decoding: ReadingOptions = ReadingOptions()


class Judged(NamedTuple):
    """What the model makes of some recordings."""

    nats: float  # of all transcripts that count
    log_probabilities: list[torch.Tensor]  # of each recording, (steps, symbols)


class Speech(JudgedTask[Utterance, Encoded]):
    """An alphabet, a recognizer, and the recordings it is trained and judged on.

    Args:
        recipe: what to train on what.
        alphabet: symbols of the training transcripts.
        longest: frames of the longest training recording.
        transcripts: what is said in training and how often, from which a language is counted.
    """

    name: ClassVar[str] = "speech"
    recipe_type: ClassVar[type[Recipe]] = SpeechRecipe
    item: ClassVar[str] = "symbol"
    may_differ: ClassVar[tuple[str, ...]] = (
        "audio_column",
        "transcript_column",
        "speaker_column",
        "connected",
        "words",
    )

    def __init__(self, recipe: SpeechRecipe, alphabet: Alphabet, longest: int, transcripts: Mapping[str, int]) -> None:
        self.recipe, self.alphabet, self.transcripts = recipe, alphabet, dict(transcripts)
        self.front = LogMel(recipe.data.sample_rate, recipe.data.num_mels)
        self.shape = RecognizerShape(recipe.data.num_mels, len(alphabet), longest)
        self.model = Recognizer(self.shape, recipe.model)
        self.splits, self.encoded = {}, {}

    @property
    def primary_metric(self) -> Metric:
        """The criterion where that is a score of transcripts, else errors of words."""
        name = self.recipe.training.select_by
        return Metric("wer" if name == "loss" else name, higher_is_better=name == "exact")

    @property
    def selection_metric(self) -> Metric:
        """As the recipe names it."""
        return Metric("loss") if self.recipe.training.select_by == "loss" else self.primary_metric

    @classmethod
    def start(cls, recipe: SpeechRecipe, progress: Progress) -> Self:
        """A new model for the recordings the recipe names.

        Raises:
            DataError: they cannot be used.
            UsageError: an initialization that does not fit the cell, or more mels than the sample rate allows.
        """
        front = LogMel(recipe.data.sample_rate, recipe.data.num_mels)
        splits = usable_recordings(recipe, front, progress)
        alphabet = Alphabet.of((one.transcript for one in splits["train"]), recipe.data.unit)
        longest = max(int(front.frames_in(torch.tensor(len(one.samples)))) for one in splits["train"])
        counts = Counter(one.transcript for one in splits["train"]).most_common(MOST_LEARNED)
        task = cls(recipe, alphabet, longest, dict(counts))
        task.take(splits)
        task.tell_uncounted(progress)
        task.model.fit_normalization(torch.from_numpy(np.concatenate(task.encoded["train"].features)))
        return task

    @classmethod
    def check(cls, recipe: SpeechRecipe, progress: Progress) -> Json:
        """Counts, lengths, symbols and repetitions of the recordings the recipe names, without those to be left out."""
        front = LogMel(recipe.data.sample_rate, recipe.data.num_mels)
        splits = find_recordings(recipe.data, recipe.seed, progress)
        if recipe.data.on_short == "drop":
            splits["train"] = long_enough(splits["train"], recipe.data, front, recipe.model.time_reduction, progress)
        return check_recordings(splits, recipe.data, front, recipe.model.time_reduction)

    @classmethod
    def restore(cls, run: Run) -> Self:
        """The model of a run as its architecture, without weights and recordings.

        Raises:
            RunError: missing, damaged, or of another task.
        """
        description, recipe = parse_recipe(run, SpeechRecipe)
        there = description["architecture"]
        transcripts = json.loads(run.read(TRANSCRIPTS))
        task = cls(recipe, Alphabet.parse(run.read(ALPHABET)), there["shape"]["max_length"], transcripts)
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
        self.take(usable_recordings(self.recipe, self.front, progress))
        self.tell_uncounted(progress)

    def take(self, splits: dict[str, list[Utterance]]) -> None:
        """Encode recordings by split; the samples of training are let go, for nobody listens to them again.

        Raises:
            DataError: no validation recording has a transcript that the model could say.
        """
        super().take(splits)
        if not any(map(len, self.encoded["valid"].targets)):
            raise DataError(
                f"{self.recipe.data.path}: no validation recording counts in the loss; give others for it: "
                f"{self.encoded['valid'].uncounted[0]}"
            )
        nothing = np.zeros(0, np.float32)
        splits["train"] = [one._replace(samples=nothing) for one in splits["train"]]

    def tell_uncounted(self, progress: Progress) -> None:
        """Say of which recordings the transcript counts in no loss."""
        for encoded in self.encoded.values():
            encoded.tell_uncounted(progress)

    def encode(self, examples: Sequence[Utterance]) -> Encoded:
        """Recordings as the model hears them."""
        return encode(examples, self.front, self.alphabet, self.model.reduction)

    def read_held_out(self, options: RecordingOptions, progress: Progress) -> dict[str, list[Utterance]]:
        """Other recordings to judge by, by split."""
        return find_held_out(options, self.recipe.seed, progress)

    def describe(self) -> tuple[Json, Mapping[str, str]]:
        """What model.json says, and the files that belong to the model."""
        transcripts = json.dumps(self.transcripts, ensure_ascii=False, indent=0)
        return {"architecture": self.architecture}, {ALPHABET: self.alphabet.dump(), TRANSCRIPTS: transcripts}

    def fingerprint(self) -> dict[str, str]:
        """Digest of the recordings of each split as they were read, and of what is said in them."""
        rows = {
            split: "\n".join(f"{one.digest} {one.transcript}" for one in part) for split, part in self.splits.items()
        }
        return {split: hashlib.sha256(text.encode()).hexdigest() for split, text in rows.items()}

    def batches(self, epoch: int) -> CollatedBatches[Batch]:
        """Training recordings in batches of about one length, in an order of the epoch's own."""
        encoded, options = self.encoded["train"], self.recipe.training
        groups = bucket_by_length(encoded.lengths, options.batch_size, self.recipe.seed, epoch)
        return CollatedBatches(groups, partial(collate, encoded))

    def loss(self, batch: Batch, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean nats of a symbol of the right transcript, over all alignments of it."""
        batch = batch.to(self.model.output.weight.device)
        heard = self.model(batch.features, batch.lengths)
        num_symbols = int(batch.target_lengths.sum())
        nats = self.model.loss(heard, batch.targets, batch.target_lengths)
        return StepLoss(nats.sum() / num_symbols, num_symbols, None)

    @staticmethod
    def describe_loss(loss: float) -> str:
        """Nats of a symbol."""
        return f"loss {loss:.3f}"

    def judge(self, encoded: Encoded, progress: Progress, title: str) -> Judged:
        """What the model makes of each recording; of one shorter than a step, nothing."""
        lengths, device, total = np.array(encoded.lengths, np.int64), self.model.output.weight.device, 0.0
        found = [torch.zeros(0, len(self.alphabet))] * len(lengths)
        audible = np.flatnonzero(lengths >= self.model.reduction)
        groups = [audible[group] for group in longest_first(lengths[audible].tolist(), JUDGED_AT_ONCE)]
        with inference(self.model), progress.stage(title, len(groups)) as advance:
            for indices in groups:
                batch = collate(encoded, indices).to(device)
                heard = self.model(batch.features, batch.lengths)
                total += self.nats_that_count(heard, batch)
                for column, (index, steps) in enumerate(zip(indices.tolist(), heard.lengths.tolist(), strict=True)):
                    found[index] = heard.log_probabilities[:steps, column].cpu()
                advance(1)
        return Judged(total, found)

    def nats_that_count(self, heard: RecognizerOutput, batch: Batch) -> float:
        """Nats of all transcripts that the model could say."""
        counts = batch.target_lengths > 0
        if not counts.any():
            return 0.0
        audible = RecognizerOutput(heard.log_probabilities[:, counts], heard.lengths[counts])
        return float(self.model.loss(audible, batch.targets[counts], batch.target_lengths[counts]).sum())

    def likeliest(self, log_probabilities: Sequence[torch.Tensor]) -> list[str]:
        """What the likeliest alignment of each recording reads as, from log-probabilities (steps, symbols)."""
        found = []
        for several, lengths in side_by_side(log_probabilities):
            found += [self.alphabet.decode(symbols) for symbols in greedy_decode(several, lengths)]
        return found

    def readings(self, log_probabilities: Sequence[torch.Tensor], options: ReadingOptions) -> list[list[CTCHypothesis]]:
        """The best readings of each recording, from log-probabilities (steps, symbols); with a beam of 1 only one."""
        language = self.language if options.lm_weight else None
        weight, bonus = options.lm_weight, options.insertion_bonus
        found = []
        for several, lengths in side_by_side(log_probabilities):
            if options.beam == 1:
                found += [[one] for one in greedy_hypotheses(several, lengths)]
            else:
                found += prefix_beam_search(several, lengths, options.beam, language, weight, bonus)
        return found

    @cached_property
    def language(self) -> SymbolLanguageModel:
        """Symbols counted on the training transcripts."""
        targets = [
            self.alphabet.encode(text, "").tolist() for text, count in self.transcripts.items() for _ in range(count)
        ]
        return trigram_language_model(targets, len(self.alphabet))

    def texts_of(self, log_probabilities: Sequence[torch.Tensor]) -> list[str]:
        """The transcript of each recording as the recipe searches for it."""
        found = self.readings(log_probabilities, self.recipe.decoding)
        return [self.alphabet.decode(best[0].symbols) if best else "" for best in found]

    def validate(self, progress: Progress) -> Metrics:
        """Loss on the validation recordings, and errors of the likeliest alignments."""
        encoded = self.encoded["valid"]
        judged = self.judge(encoded, progress, "validating")
        said = [one.transcript for one in self.splits["valid"]]
        loss = judged.nats / sum(map(len, encoded.targets))
        return {"loss": loss, **transcript_scores(self.likeliest(judged.log_probabilities), said)}

    def judge_split(
        self, split: str, examples: Sequence[Utterance], encoded: Encoded, progress: Progress
    ) -> tuple[Metrics, Json]:
        """Scores of the model on the recordings of a split, and what a page is drawn from."""
        if encoded is not self.encoded.get(split):
            encoded.tell_uncounted(progress)
        nats, log_probabilities = self.judge(encoded, progress, f"evaluating {split}")
        said, outputs = [one.transcript for one in examples], self.texts_of(log_probabilities)
        num_symbols = sum(map(len, encoded.targets))
        metrics = {"loss": nats / num_symbols} if num_symbols else {}
        metrics |= transcript_scores(outputs, said)
        metrics["greedy_wer"] = transcript_scores(self.likeliest(log_probabilities), said)["wer"]
        metrics["recordings"] = len(examples)
        worst = highest_cer_transcripts(outputs, said, [one.place for one in examples])
        shown = zip(encoded.features[:NUM_SHOWN], log_probabilities, outputs, said, strict=False)
        return metrics, {"worst": worst, "hearings": [self.hearing(*one) for one in shown]}

    def hearing(self, features: Features, log_probabilities: torch.Tensor, output: str, said: str) -> Json:
        """A recording and what was heard in it, as plain values.

        Returns:
            features (frames, mels), probabilities (steps, symbols), symbols, output and target.
        """
        return {
            "features": np.round(features, 2).tolist(),
            "probabilities": log_probabilities.exp().numpy().round(3).tolist(),
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
        neighbors = NearestNeighbors(n_neighbors=1).fit(summaries(self.encoded["train"].features))
        found: dict[str, dict[str, Metrics]] = {"frequent": {}, "nearest": {}}
        for split, given in splits.items():
            said = [one.transcript for one in given]
            heard = summaries(self.encoding_of(split, given).features)
            nearest = neighbors.kneighbors(heard, return_distance=False)[:, 0]
            found["frequent"][split] = transcript_scores([frequent] * len(said), said)
            found["nearest"][split] = transcript_scores([train[at] for at in nearest], said)
        return found

    def samples(self) -> list[Json]:
        """The first validation recordings that count, as they are heard."""
        encoded, utterances = self.encoded["valid"], self.splits["valid"]
        counting = [index for index, target in enumerate(encoded.targets) if len(target)]
        return [
            {"features": encoded.features[index].tolist(), "transcript": utterances[index].transcript}
            for index in counting[:NUM_SAMPLES]
        ]

    def outputs_of(self, sample: Json) -> list[float]:
        """Log-probability of the blank and of each symbol at each step."""
        features = np.array(sample["features"], np.float32)
        judged = self.judge(Encoded([features], [UNHEARD]), Progress(), "")
        found: list[float] = judged.log_probabilities[0].flatten().tolist()
        return found


def usable_recordings(recipe: SpeechRecipe, front: LogMel, progress: Progress) -> dict[str, list[Utterance]]:
    """Recordings by split, those for training long enough.

    Raises:
        DataError: they cannot be used.
        UsageError: an option that they do not heed.
    """
    splits = find_recordings(recipe.data, recipe.seed, progress)
    splits["train"] = long_enough(splits["train"], recipe.data, front, recipe.model.time_reduction, progress)
    return splits
