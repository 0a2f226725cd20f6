"""Words joined to strings: every clip is found again, pauses are as long and as quiet as they should be."""

import numpy as np
import pytest

from recurra.data.builtin.connected_digits import join_utterances
from recurra.data.media.sound import Samples, Utterance
from recurra.errors import DataError, UsageError

RATE = 8000


def noise(seed: int, count: int) -> Samples:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, count).astype(np.float32)


def words(num_speakers: int = 3, num_words: int = 4) -> list[Utterance]:
    """Constant clips, each of its own value and length, so that each is found again in a string."""
    return [
        Utterance(
            np.full(100 + 10 * word + speaker, 0.1 + 0.2 * speaker + 0.01 * word, np.float32),
            f"word{word}",
            f"speaker{speaker}",
            f"{speaker}/{word}",
            f"digest of {speaker}/{word}",
        )
        for speaker in range(num_speakers)
        for word in range(num_words)
    ]


def taken_apart(string: Utterance, given: list[Utterance], loudest: float) -> tuple[list[Utterance], list[int]]:
    """The clips of a string, and the lengths of the pauses between them; all else in it is no louder than a pause."""
    found, pauses, at = [], [], 0
    for place in string.place.split(" + "):
        (clip,) = (one for one in given if one.place == place)
        start = at
        while not np.array_equal(string.samples[at : at + len(clip.samples)], clip.samples):
            assert abs(string.samples[at]) <= loudest
            at += 1
        pauses.append(at - start)
        found.append(clip)
        at += len(clip.samples)
    assert at == len(string.samples)
    assert pauses[0] == 0
    return found, pauses[1:]


def test_strings_are_clips_of_one_speaker_with_pauses() -> None:
    silent = [one._replace(samples=np.append(np.zeros(10, np.float32), one.samples)) for one in words()]
    strings = join_utterances(silent, 600, 1000, seed="1", lengths=(2, 4))  # 10 samples are 10 ms
    assert len(strings) == 600
    sizes, pauses, speakers = [], [], []
    for string in strings:
        found, between = taken_apart(string, silent, 0)
        assert string.transcript == " ".join(clip.transcript for clip in found)
        assert {clip.speaker for clip in found} == {string.speaker}
        sizes.append(len(found))
        pauses += between
        speakers.append(string.speaker)
    np.testing.assert_allclose(np.bincount(sizes)[2:] / 600, [1 / 3] * 3, atol=0.08)
    assert {speakers.count(f"speaker{at}") // 100 for at in range(3)} <= {1, 2}
    assert min(pauses) < 15
    assert 285 < max(pauses) < 300
    assert np.mean(pauses) == pytest.approx(150, abs=12)


def test_pauses_are_as_quiet_as_the_clip_before() -> None:
    given, levels = [], {}
    for at, place in enumerate(("here", "there")):
        quiet, loud = noise(at, 400) / 1000 * 9**at, noise(2 + at, 4000)
        given.append(Utterance(np.concatenate([loud, quiet, loud]), "x", "anna", place, place))
        levels[place] = float(np.sqrt(np.mean(quiet**2)))
    found: dict[str, list[float]] = {"here": [], "there": []}
    size = len(given[0].samples)
    for string in join_utterances(given, 400, RATE, seed="2", lengths=(2, 2)):
        before, pause = string.place.split(" + ")[0], string.samples[size:-size]
        found[before] += [float(np.sqrt(np.mean(pause**2)))] if len(pause) > 500 else []
    for place, level in levels.items():
        assert 0 < min(found[place]) < 0.1 * level
        assert 0.8 * level < max(found[place]) < 1.1 * level


def test_the_same_seed_gives_the_same_strings() -> None:
    given = words()
    for one, other in zip(join_utterances(given, 9, RATE, "5"), join_utterances(given, 30, RATE, "5"), strict=False):
        np.testing.assert_array_equal(one.samples, other.samples)
        assert one[1:] == other[1:]
    places = [[string.place for string in join_utterances(given, 9, RATE, seed)] for seed in (5, 6)]
    assert places[0] != places[1]
    assert {len(place.split(" + ")) for place in places[0] + places[1]} == {2, 3, 4, 5}


def test_a_string_of_one() -> None:
    (string,) = join_utterances(words(1, 1), 1, RATE, "0", (1, 1))
    np.testing.assert_array_equal(string.samples, words(1, 1)[0].samples)
    assert string[1:-1] == ("word0", "speaker0", "0/0")


def test_what_cannot_be_joined() -> None:
    for lengths in [(0, 3), (3, 2)]:
        with pytest.raises(UsageError, match="connected lengths: expected fewest and most, at least 1, got"):
            join_utterances(words(), 1, RATE, "0", lengths)
    with pytest.raises(DataError, match="connected: no recordings to join"):
        join_utterances([], 1, RATE, "0")
    with pytest.raises(DataError, match="0/0: no speaker; only recordings of one speaker can be joined"):
        join_utterances([words()[0]._replace(speaker=None)], 1, RATE, "0")
