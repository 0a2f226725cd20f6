"""Checks of recordings before training."""

from collections.abc import Mapping, Sequence

from recurra.data.media.sound import Utterance
from recurra.data.text.alphabet import Alphabet, Unit
from recurra.errors import counted
from recurra.nn.spectrogram import LogMel
from recurra.runs import Json
from recurra.tasks.checks import leaks
from recurra.tasks.speech.data import RecordingOptions, list_symbols, reasons_too_short, unknown_symbols


def check_recordings(
    splits: Mapping[str, Sequence[Utterance]], options: RecordingOptions, log_mel: LogMel, reduction: int
) -> Json:
    """Counts, lengths, symbols and repetitions of recordings.

    Args:
        splits: recordings by split.
        options: unit and sample rate.
        log_mel: makes the frames.
        reduction: frames of a step.

    Returns:
        splits (recordings, seconds, and speakers where they are known), transcripts (recordings of each held-out split,
        and how many of them have a transcript that train has, too), alphabet (symbols), problems (sentences, each with
        the place of one recording).
    """
    has_speakers = any(one.speaker for part in splits.values() for one in part)
    rows, repeated = {}, {}
    trained = {one.transcript for one in splits["train"]}
    problems = leaks(splits, lambda one: one.digest, "recording")
    for split, utterances in splits.items():
        seconds = [len(one.samples) / options.sample_rate for one in utterances]
        rows[split] = {"recordings": len(utterances), "seconds": round(sum(seconds)), "longest": round(max(seconds), 1)}
        rows[split] |= {"speakers": len({one.speaker for one in utterances if one.speaker})} if has_speakers else {}
        short = [reason for reason in reasons_too_short(utterances, log_mel, reduction, options.unit) if reason]
        if short:
            number = counted(len(short), "recording")
            problems.append(f"too short for the transcript: {number} of {split}, such as {short[0]}")
        if split != "train":
            known = sum(one.transcript in trained for one in utterances)
            repeated[split] = {"recordings": len(utterances), "transcript in train": known}
            problems += held_out_problems(splits["train"], utterances, split, options.unit)
    symbols = len(Alphabet.of(trained, options.unit).symbols)
    return {"splits": rows, "transcripts": repeated, "alphabet": {"symbols": {"kept": symbols}}, "problems": problems}


def held_out_problems(train: Sequence[Utterance], utterances: Sequence[Utterance], split: str, unit: Unit) -> list[str]:
    """Speakers that train has, too, and transcripts with symbols that train lacks."""
    problems = []
    shared = {one.speaker for one in train if one.speaker} & {one.speaker for one in utterances}
    if shared:
        number = sum(one.speaker in shared for one in utterances)
        problems.append(
            f"by speakers that train has: {number:,} of {counted(len(utterances), 'recording')} of {split}, such as "
            f"{min(map(str, shared))}; {split} is easier than new speakers would be"
        )
    alphabet = Alphabet.of((one.transcript for one in train), unit)
    unknown = [(one.place, found) for one in utterances if (found := unknown_symbols(one, alphabet))]
    if unknown:
        problems.append(
            f"scored but in no loss: {counted(len(unknown), 'recording')} of {split}, such as {unknown[0][0]}: "
            f"training transcripts have no {list_symbols(set().union(*(found for _, found in unknown)))}"
        )
    return problems
