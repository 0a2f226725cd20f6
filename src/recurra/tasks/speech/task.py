"""Speech recognition: the transcript of a recording, by a recurrent network trained with CTC."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field, ValidationInfo, field_validator

from recurra.config import Recipe, Section, TrainingOptions
from recurra.data.batches import CollatedBatches, bucket_by_length, longest_first
from recurra.data.media.sound import Utterance
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
from recurra.runs import Json
from recurra.tasks import supervised
from recurra.tasks.speech.checks import check_recordings
from recurra.tasks.speech.data import (
    EVALUATION_BATCH,
    NO_TARGETS,
    Batch,
    Encoded,
    Features,
    RecordingOptions,
    SpeechPreprocessor,
    collate,
    drop_short,
    encode,
    find_other_recordings,
    find_recordings,
    mean_features,
    note_uncounted,
    pad_log_probabilities,
    uncounted_reasons,
)
from recurra.tasks.task import Metric, Preprocessor, Scores, StepLoss, inference

NUM_SAMPLES = 2
NUM_SHOWN = 4  # recordings of each split whose probabilities are kept


class SpeechTraining(TrainingOptions):
    """The `[training]` section."""

    batch_size: int = Field(32, ge=1, description="recordings side by side in a step, of about one length")
    select_by: Literal["wer", "cer", "exact", "loss"] = Field(
        "wer", description="metric on validation, of the best alignments, that selects the best epoch"
    )


class SearchOptions(Section):
    """The `[decoding]` section: the search for transcripts."""

    beam_size: int = Field(8, ge=1, description="prefixes that the search keeps; 1: the best alignment")
    lm_weight: float = Field(
        0.0, ge=0, description="weight of a trigram model of the symbols of the training transcripts"
    )
    insertion_bonus: float = Field(
        0.0,
        description="nats added for each symbol; above 0 makes up for a language model that prefers short texts",
    )

    @field_validator("lm_weight", "insertion_bonus")
    @classmethod
    def refuse_without_search(cls, value: float, info: ValidationInfo) -> float:
        """Refuse weights where no search uses them."""
        if value and info.data.get("beam_size") == 1:
            raise ValueError("0 beside a beam_size of 1, which takes the best alignment")
        return value

    def given(self, num_best: int, **options: float | None) -> Self:
        """The same with given options; those that are None stay as they are.

        Raises:
            UsageError: a value outside its range.
        """
        chosen = {name: value for name, value in options.items() if value is not None}
        found = self.parse({**self.model_dump(), **chosen}, "decoding")
        return found.model_copy(update={"beam_size": max(found.beam_size, num_best)})


class SpeechRecipe(Recipe):
    """A recipe for a recognizer."""

    task: Literal["speech"] = Field("speech", description="name of the task")
    data: RecordingOptions
    model: RecognizerOptions = RecognizerOptions()
    training: SpeechTraining = SpeechTraining()
    decoding: SearchOptions = SearchOptions()


class Predictions(NamedTuple):
    """Outputs of the model for some recordings."""

    nats: float  # of all transcripts that count in the loss
    log_probabilities: list[torch.Tensor]  # of each recording, (steps, symbols)


class Speech:
    """A recognizer and the recordings it is trained and evaluated on.

    Args:
        recipe: options of data, model and training.
        preprocessor: fitted to the training recordings.
    """

    name: ClassVar[str] = "speech"
    recipe_type: ClassVar[type[Recipe]] = SpeechRecipe
    preprocessor_type: ClassVar[type[Preprocessor]] = SpeechPreprocessor
    item: ClassVar[str] = "symbol"
    usage: ClassVar[str] = "transcribe {run} SOUND"
    other_data_keys: ClassVar[tuple[str, ...]] = (
        "audio_column",
        "transcript_column",
        "speaker_column",
        "connected",
        "connected_words",
    )

    held_out = supervised.held_out
    read_held_out = supervised.read_held_out
    evaluate = supervised.evaluate

    def __init__(self, recipe: SpeechRecipe, preprocessor: SpeechPreprocessor) -> None:
        self.recipe, self.preprocessor = recipe, preprocessor
        self.alphabet = preprocessor.alphabet
        self.log_mel = LogMel(recipe.data.sample_rate, recipe.data.num_mels)
        shape = RecognizerShape(recipe.data.num_mels, len(self.alphabet), preprocessor.max_length)
        self.model = Recognizer(shape, recipe.model)
        self.splits: dict[str, list[Utterance]] = {}
        self.encoded: dict[str, Encoded] = {}

    @property
    def primary_metric(self) -> Metric:
        """`training.select_by` where that is a score of transcripts, else the word error rate."""
        name = self.recipe.training.select_by
        return Metric("wer" if name == "loss" else name, higher_is_better=name == "exact")

    @property
    def selection_metric(self) -> Metric:
        """`training.select_by` of the recipe."""
        return Metric("loss") if self.recipe.training.select_by == "loss" else self.primary_metric

    @classmethod
    def start(cls, recipe: SpeechRecipe, progress: Progress) -> Self:
        """Read the recordings of a recipe and build a new model.

        Raises:
            DataError: the recordings cannot be used.
            UsageError: an initialization that does not fit the cell, or more mels than the sample rate allows.
        """
        log_mel = LogMel(recipe.data.sample_rate, recipe.data.num_mels)
        splits = usable_recordings(recipe, log_mel, progress)
        task = cls(recipe, SpeechPreprocessor.fit(splits["train"], recipe.data, log_mel))
        task.note_uncounted(splits, progress)
        task.set_data(splits)
        task.model.fit_normalization(torch.from_numpy(np.concatenate(task.encoded["train"].features)))
        return task

    @classmethod
    def check(cls, recipe: SpeechRecipe, progress: Progress) -> Json:
        """Counts, lengths, symbols and repetitions of the recordings of a recipe, without those that are dropped."""
        log_mel = LogMel(recipe.data.sample_rate, recipe.data.num_mels)
        splits = find_recordings(recipe.data, recipe.seed, progress)
        if recipe.data.on_short == "drop":
            splits["train"] = drop_short(splits["train"], recipe.data, log_mel, recipe.model.time_reduction, progress)
        return check_recordings(splits, recipe.data, log_mel, recipe.model.time_reduction)

    @property
    def data_options(self) -> RecordingOptions:
        """The data options of the recipe."""
        options: RecordingOptions = self.recipe.data
        return options

    def read_data(self, progress: Progress) -> dict[str, list[Utterance]]:
        """Read the recordings of the recipe by split.

        Raises:
            DataError: they cannot be used.
        """
        splits = usable_recordings(self.recipe, self.log_mel, progress)
        self.note_uncounted(splits, progress)
        return splits

    def note_uncounted(self, splits: Mapping[str, Sequence[Utterance]], progress: Progress) -> None:
        """Note how many recordings of each split count in no loss, since the model cannot produce their transcripts."""
        for utterances in splits.values():
            reasons = uncounted_reasons(utterances, self.log_mel, self.alphabet, self.model.reduction)
            note_uncounted([reason for reason in reasons if reason], progress)

    def set_data(self, splits: dict[str, list[Utterance]]) -> None:
        """Encode recordings by split and keep them; samples of training recordings are dropped to save memory.

        Raises:
            DataError: no validation recording has a transcript that the model can produce.
        """
        supervised.keep(self, splits)
        if not any(map(len, self.encoded["valid"].targets)):
            raise DataError(
                f"{self.recipe.data.path}: no validation recording counts in the loss; give others for it: "
                f"{self.encoded['valid'].uncounted[0]}"
            )
        nothing = np.zeros(0, np.float32)
        splits["train"] = [one._replace(samples=nothing) for one in splits["train"]]

    def encode(self, examples: Sequence[Utterance]) -> Encoded:
        """Recordings as the model reads them."""
        return encode(examples, self.log_mel, self.alphabet, self.model.reduction)

    def read_other(self, options: RecordingOptions, progress: Progress) -> dict[str, list[Utterance]]:
        """Read other recordings to evaluate on, by split."""
        return find_other_recordings(options, self.recipe.seed, progress)

    def batches(self, epoch: int) -> CollatedBatches[Batch]:
        """Training recordings in batches of similar lengths, shuffled differently in each epoch."""
        encoded, options = self.encoded["train"], self.recipe.training
        groups = bucket_by_length(encoded.lengths, options.batch_size, self.recipe.seed, epoch)
        return CollatedBatches(groups, partial(collate, encoded))

    def loss(self, batch: Batch, state: Any) -> StepLoss:  # noqa: ARG002
        """Mean nats per symbol of the right transcript, summed over its alignments."""
        batch = batch.to(self.model.output.weight.device)
        output = self.model(batch.features, batch.lengths)
        num_symbols = int(batch.target_lengths.sum())
        nats = self.model.loss(output, batch.targets, batch.target_lengths)
        return StepLoss(nats.sum() / num_symbols, num_symbols, None)

    def predict(self, encoded: Encoded, progress: Progress, title: str) -> Predictions:
        """Outputs for all recordings, in batches of similar lengths; empty for a recording shorter than one step."""
        lengths, device, total = np.array(encoded.lengths, np.int64), self.model.output.weight.device, 0.0
        found = [torch.zeros(0, len(self.alphabet))] * len(lengths)
        audible = np.flatnonzero(lengths >= self.model.reduction)
        groups = [audible[group] for group in longest_first(lengths[audible].tolist(), EVALUATION_BATCH)]
        with inference(self.model), progress.stage(title, len(groups)) as advance:
            for indices in groups:
                batch = collate(encoded, indices).to(device)
                output = self.model(batch.features, batch.lengths)
                total += self.counted_nats(output, batch)
                for column, (index, steps) in enumerate(zip(indices.tolist(), output.lengths.tolist(), strict=True)):
                    found[index] = output.log_probabilities[:steps, column].cpu()
                advance(1)
        return Predictions(total, found)

    def counted_nats(self, output: RecognizerOutput, batch: Batch) -> float:
        """Loss of all transcripts that the model can produce, nats."""
        counts = batch.target_lengths > 0
        if not counts.any():
            return 0.0
        audible = RecognizerOutput(output.log_probabilities[:, counts], output.lengths[counts])
        return float(self.model.loss(audible, batch.targets[counts], batch.target_lengths[counts]).sum())

    def greedy_texts(self, log_probabilities: Sequence[torch.Tensor]) -> list[str]:
        """Transcripts of the best alignments, from log-probabilities (steps, symbols) of each recording."""
        found = []
        for several, lengths in pad_log_probabilities(log_probabilities):
            found += [self.alphabet.decode(symbols) for symbols in greedy_decode(several, lengths)]
        return found

    def hypotheses(
        self, log_probabilities: Sequence[torch.Tensor], options: SearchOptions
    ) -> list[list[CTCHypothesis]]:
        """The best hypotheses for each recording, from log-probabilities (steps, symbols); one for a beam of 1."""
        language = self.language if options.lm_weight else None
        weight, bonus = options.lm_weight, options.insertion_bonus
        found = []
        for several, lengths in pad_log_probabilities(log_probabilities):
            if options.beam_size == 1:
                found += [[one] for one in greedy_hypotheses(several, lengths)]
            else:
                found += prefix_beam_search(several, lengths, options.beam_size, language, weight, bonus)
        return found

    @cached_property
    def language(self) -> SymbolLanguageModel:
        """Trigram model of the symbols of the training transcripts."""
        counts = self.preprocessor.transcripts.items()
        targets = [self.alphabet.encode(text, "").tolist() for text, count in counts for _ in range(count)]
        return trigram_language_model(targets, len(self.alphabet))

    def texts_of(self, log_probabilities: Sequence[torch.Tensor]) -> list[str]:
        """The transcript of each recording by the search of the recipe."""
        found = self.hypotheses(log_probabilities, self.recipe.decoding)
        return [self.alphabet.decode(best[0].symbols) if best else "" for best in found]

    def validate(self, progress: Progress) -> Scores:
        """Loss on the validation recordings, and error rates of the best alignments."""
        encoded = self.encoded["valid"]
        predicted = self.predict(encoded, progress, "validating")
        transcripts = [one.transcript for one in self.splits["valid"]]
        loss = predicted.nats / sum(map(len, encoded.targets))
        return {"loss": loss, **transcript_scores(self.greedy_texts(predicted.log_probabilities), transcripts)}

    def evaluate_split(
        self, split: str, examples: Sequence[Utterance], encoded: Encoded, progress: Progress
    ) -> tuple[Scores, Json]:
        """Scores of the model on the recordings of a split, and details for the evaluation page."""
        if encoded is not self.encoded.get(split):
            note_uncounted(encoded.uncounted, progress)
        nats, log_probabilities = self.predict(encoded, progress, f"evaluating {split}")
        transcripts, outputs = [one.transcript for one in examples], self.texts_of(log_probabilities)
        num_symbols = sum(map(len, encoded.targets))
        metrics = {"loss": nats / num_symbols} if num_symbols else {}
        metrics |= transcript_scores(outputs, transcripts)
        metrics["greedy_wer"] = transcript_scores(self.greedy_texts(log_probabilities), transcripts)["wer"]
        metrics["recordings"] = len(examples)
        worst = highest_cer_transcripts(outputs, transcripts, [one.place for one in examples])
        shown = zip(encoded.features[:NUM_SHOWN], log_probabilities, outputs, transcripts, strict=False)
        return metrics, {"worst": worst, "outputs": [self.details_of(*one) for one in shown]}

    def details_of(self, features: Features, log_probabilities: torch.Tensor, output: str, target: str) -> Json:
        """One recording for the evaluation page.

        Returns:
            features (frames, mels), probabilities (steps, symbols), symbols, output and target.
        """
        return {
            "features": np.round(features, 2).tolist(),
            "probabilities": log_probabilities.exp().numpy().round(3).tolist(),
            "symbols": ["(blank)", *self.alphabet.symbols],
            "output": output,
            "target": target,
        }

    def baselines(
        self,
        splits: Mapping[str, Sequence[Utterance]],
        progress: Progress,  # noqa: ARG002
    ) -> dict[str, dict[str, Scores]]:
        """Scores of the most frequent training transcript, and of that of the nearest training recording."""
        from sklearn.neighbors import NearestNeighbors

        counts = self.preprocessor.transcripts
        frequent = max(counts, key=lambda text: counts[text])
        train = [one.transcript for one in self.splits["train"]]
        neighbors = NearestNeighbors(n_neighbors=1).fit(mean_features(self.encoded["train"].features))
        found: dict[str, dict[str, Scores]] = {"frequent": {}, "nearest": {}}
        for split, given in splits.items():
            transcripts = [one.transcript for one in given]
            queries = mean_features(supervised.encoding_of(self, split, given).features)
            nearest = neighbors.kneighbors(queries, return_distance=False)[:, 0]
            found["frequent"][split] = transcript_scores([frequent] * len(transcripts), transcripts)
            found["nearest"][split] = transcript_scores([train[at] for at in nearest], transcripts)
        return found

    def samples(self) -> list[Json]:
        """Features and transcripts of the first validation recordings that count in the loss."""
        encoded, utterances = self.encoded["valid"], self.splits["valid"]
        counting = [index for index, target in enumerate(encoded.targets) if len(target)]
        return [
            {"features": encoded.features[index].tolist(), "transcript": utterances[index].transcript}
            for index in counting[:NUM_SAMPLES]
        ]

    def outputs_of(self, sample: Json) -> list[float]:
        """Log-probability of the blank and of each symbol at each step."""
        features = np.array(sample["features"], np.float32)
        predicted = self.predict(Encoded([features], [NO_TARGETS]), Progress(), "")
        found: list[float] = predicted.log_probabilities[0].flatten().tolist()
        return found


def usable_recordings(recipe: SpeechRecipe, log_mel: LogMel, progress: Progress) -> dict[str, list[Utterance]]:
    """Recordings by split; those for training are long enough for their transcripts.

    Raises:
        DataError: they cannot be used.
        UsageError: an option without a meaning for them.
    """
    splits = find_recordings(recipe.data, recipe.seed, progress)
    splits["train"] = drop_short(splits["train"], recipe.data, log_mel, recipe.model.time_reduction, progress)
    return splits


TASK = Speech
