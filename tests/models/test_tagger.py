"""The tagger: its equations against plain torch, its padding, its two losses, its dropout."""

from itertools import pairwise, product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.errors import UsageError
from recurra.lengths import IGNORE_INDEX
from recurra.models.tagger import Tagger, TaggerInputs, TaggerOptions, TaggerShape
from recurra.nn import bio_constraints
from recurra.nn.layers import LAYERS

WORDS, CHARACTERS, TAGS, TIME, BATCH, SPELLINGS, LONGEST = 11, 7, 3, 5, 4, 6, 8
LENGTHS = torch.tensor([3, 5, 0, 1])
SMALL = {"embedding_size": 5, "character_embedding_size": 2, "character_hidden_size": 3, "hidden_size": [4]}
NO_DROPOUT = {"dropout": 0.0, "embedding_dropout": 0.0, "output_dropout": 0.0}


def build(**options: object) -> Tagger:
    torch.manual_seed(3)
    parsed = TaggerOptions.parse({**SMALL, **NO_DROPOUT, **options}, "test")
    tagger = Tagger(TaggerShape(WORDS, CHARACTERS, TIME), TAGS, parsed).double()
    for parameter in tagger.parameters():  # those of the random field begin at 0
        nn.init.normal_(parameter, std=0.5)
    return tagger


def draw(filling: int = 0) -> tuple[TaggerInputs, Tensor]:
    """A batch and its tags, with `filling` in the padding of words and characters."""
    source = torch.Generator().manual_seed(5)
    words = torch.randint(WORDS, (TIME, BATCH), generator=source)
    spellings = torch.randint(SPELLINGS, (TIME, BATCH), generator=source)
    characters = torch.randint(CHARACTERS, (LONGEST, SPELLINGS), generator=source)
    character_lengths = torch.tensor([8, 1, 4, 3, 7, 2])
    tags = torch.randint(TAGS, (TIME, BATCH), generator=source)
    valid = torch.arange(TIME)[:, None] < LENGTHS
    written = torch.arange(LONGEST)[:, None] < character_lengths
    tokens = TaggerInputs(
        words.where(valid, filling), LENGTHS, spellings, characters.where(written, filling), character_lengths
    )
    return tokens, tags.where(valid, IGNORE_INDEX)


def test_equals_torch_layers_one_sentence_at_a_time() -> None:
    tagger = build()
    assert tagger.character_encoder is not None
    tokens, _ = draw()
    scores = tagger(tokens)
    letters = nn.LSTM(2, 3, bidirectional=True).double()
    letters.load_state_dict(tagger.character_encoder.recurrent.state_dict())
    words = nn.LSTM(5 + 6, 4, bidirectional=True).double()
    words.load_state_dict(tagger.context.state_dict())
    for sentence, length in enumerate(LENGTHS.tolist()):
        rows = []
        for step in range(length):
            spelling = int(tokens.spellings[step, sentence])
            ids = tokens.characters[: int(tokens.character_lengths[spelling]), spelling]
            _, (ends, _) = letters(
                tagger.character_encoder.embedding(ids)
            )  # (2, hidden): both directions at their ends
            rows.append(torch.cat([tagger.embedding(tokens.words[step, sentence]), ends.flatten()]))
        if rows:
            expected = tagger.output(words(torch.stack(rows))[0])
            torch.testing.assert_close(scores[:length, sentence], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("cell", [name for name in LAYERS if name != "rnn"])
@pytest.mark.parametrize("body", ["gru", "mlp"])
def test_padding_never_matters(body: str, cell: str, crf: bool) -> None:
    tagger = build(cell=body, character_cell=cell, crf=crf)
    (tokens, tags), (other, _) = draw(0), draw(6)
    assert not torch.equal(tokens.words, other.words)
    valid = (torch.arange(TIME)[:, None] < LENGTHS).unsqueeze(2)
    scores, disturbed = tagger(tokens), tagger(other)
    torch.testing.assert_close(scores.where(valid, 0), disturbed.where(valid, 0), rtol=1e-12, atol=1e-12)
    losses = tagger.loss(scores, tags, LENGTHS)
    longer = TaggerInputs(*(F.pad(part, (0, 0, 0, 2)) if part.dim() == 2 else part for part in tokens))
    again = tagger.loss(tagger(longer), F.pad(tags, (0, 0, 0, 2), value=IGNORE_INDEX), LENGTHS)
    torch.testing.assert_close(losses, again, rtol=1e-12, atol=1e-12)
    assert losses[2] == 0


def score_of(path: tuple[int, ...], scores: Tensor, tagger: Tagger) -> Tensor:
    """Score of the tags of one sentence, by its definition; scores are (time, tags)."""
    total = sum((scores[step, tag] for step, tag in enumerate(path)), torch.zeros((), dtype=torch.double))
    if tagger.crf is not None and path:
        total = total + tagger.crf.start[path[0]] + tagger.crf.end[path[-1]]
        total = total + sum(tagger.crf.transitions[pair] for pair in pairwise(path))
    return total


@pytest.mark.parametrize("crf", [False, True])
@torch.no_grad()
def test_loss_and_probabilities_and_best_tags_by_all_paths(crf: bool) -> None:
    tagger = build(crf=crf)
    tokens, tags = draw()
    scores = tagger(tokens)
    losses, best = tagger.loss(scores, tags, LENGTHS), tagger.decode(scores, LENGTHS)
    probabilities = tagger.probabilities(scores, LENGTHS)
    for sentence, length in enumerate(LENGTHS.tolist()):
        paths = list(product(range(TAGS), repeat=length))
        shares = torch.stack([score_of(path, scores[:, sentence], tagger) for path in paths]).softmax(0)
        right = paths.index(tuple(tags[:length, sentence].tolist()))
        torch.testing.assert_close(losses[sentence], -shares[right].log(), rtol=1e-10, atol=1e-10)
        assert best[:length, sentence].tolist() == list(paths[int(shares.argmax())])
        for step, tag in product(range(length), range(TAGS)):
            through = torch.tensor([path[step] == tag for path in paths])
            torch.testing.assert_close(probabilities[step, sentence, tag], shares[through].sum(), rtol=0, atol=1e-10)


def test_perceptron_over_a_window() -> None:
    """Against its definition, a sentence by itself with two zeros before and behind it."""
    tagger = build(cell="mlp", hidden_size=[6, 4], characters=False)
    tokens, _ = draw()
    scores = tagger(tokens)
    first, second = tagger.context.layers
    for sentence, length in enumerate(LENGTHS.tolist()):
        vectors = F.pad(tagger.embedding(tokens.words[:length, sentence]), (0, 0, 2, 2))
        for step in range(length):
            expected = tagger.output(second(first(vectors[step : step + 5].flatten()).relu()).relu())
            torch.testing.assert_close(scores[step, sentence], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("cell", [*LAYERS, "mlp"])
def test_every_parameter_gets_a_gradient(cell: str, crf: bool) -> None:
    tagger = build(cell=cell, crf=crf, hidden_size=[4, 6], dropout=0.2)
    tokens, tags = draw()
    tagger.loss(tagger(tokens), tags, LENGTHS).sum().backward()
    for name, parameter in tagger.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_without_characters_the_spelling_does_not_matter() -> None:
    tokens, _ = draw()
    other = tokens._replace(characters=tokens.characters.flip(1))
    assert not torch.equal(build()(tokens), build()(other))
    assert torch.equal(build(characters=False)(tokens), build(characters=False)(other))
    assert not any("character_encoder" in name for name, _ in build(characters=False).named_parameters())


@pytest.mark.parametrize("option", ["dropout", "embedding_dropout", "output_dropout"])
def test_each_dropout_acts_in_training_only(option: str) -> None:
    tagger, (tokens, _) = build(hidden_size=[4, 6], **{option: 0.5}), draw()
    assert not torch.equal(tagger(tokens), tagger(tokens))
    tagger.eval()
    assert torch.equal(tagger(tokens), tagger(tokens))


def test_forbidden_transitions_are_never_predicted() -> None:
    labels = ["I-x", "O", "B-x"]
    torch.manual_seed(3)
    options = TaggerOptions.parse({**SMALL, **NO_DROPOUT}, "test")
    tagger = Tagger(TaggerShape(WORDS, CHARACTERS, TIME), TAGS, options, bio_constraints(labels))
    with torch.no_grad():
        tagger.output.bias[0] += 3  # without the rule everything would be I-x
    tokens, _ = draw()
    scores = tagger(tokens)
    assert (scores.argmax(2) == 0).all()
    best = tagger.decode(scores, LENGTHS)
    assert best[:5, 1].tolist() == [2, 0, 0, 0, 0]
    assert not tagger.probabilities(scores, LENGTHS)[0, :, 0].any()


def test_impossible_options() -> None:
    with pytest.raises(UsageError, match="character_cell"):
        build(character_cell="rnn")
    with pytest.raises(UsageError, match="embedding_size"):
        build(embedding_size=0)
