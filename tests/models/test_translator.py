"""The translator against a plain loop over steps, in any batch and with all options."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.errors import UsageError
from recurra.lengths import IGNORE_INDEX
from recurra.models.decoder import DecoderState
from recurra.models.translator import Translator, TranslatorOptions, TranslatorShape

SHAPE = TranslatorShape(source_vocabulary_size=11, target_vocabulary_size=9, max_source_length=7, max_target_length=6)
START = 2
SIZES = {"embedding_size": 5, "hidden_size": [6, 4], "encoder_size": [3, 7]}
SILENT = dict.fromkeys(["dropout", "embedding_dropout", "output_dropout", "memory_dropout"], 0.0)
DOT = {"attention": "dot", "hidden_size": [4], "encoder_size": [2]}  # 2 x 2 features a step of the source
KINDS = {
    "plain": {"attention": "none"},
    "additive": {},
    "additive, fed": {"input_feeding": True, "cell": "lstm"},
    "general, lstm": {"attention": "general", "cell": "lstm"},
    "concat, rnn": {"attention": "concat", "cell": "rnn", "merge": "sum"},
    "dot": DOT,
    "dot, fed": {**DOT, "input_feeding": True},
    "untied": {"tie_embeddings": "none"},
    "summary first": {"inject": "input", "cell": "lstm"},
    "one direction": {"bidirectional": False},
    "shared": {"bidirectional": False, "share_weights": True, "encoder_size": None},
}


def translator(seed: int = 0, **options: object) -> Translator:
    """With random weights everywhere, and none that is zero."""
    torch.manual_seed(seed)
    shape = (
        SHAPE._replace(source_vocabulary_size=SHAPE.target_vocabulary_size)
        if options.get("tie_embeddings") == "all"
        else SHAPE
    )
    model = Translator(shape, TranslatorOptions(**{**SIZES, **SILENT, **options})).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.7, 0.7)
    return model


def batch(vocabulary_size: int = SHAPE.source_vocabulary_size) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sources (7, 4), their lengths, inputs (5, 4) and targets; what is padding is marked in the targets."""
    rng = torch.Generator().manual_seed(3)
    sources = torch.randint(vocabulary_size, (7, 4), generator=rng)
    targets = torch.randint(SHAPE.target_vocabulary_size, (5, 4), generator=rng)
    lengths = torch.tensor([7, 3, 1, 5])
    for column, length in enumerate([5, 2, 4, 1]):
        targets[length:, column] = IGNORE_INDEX
    inputs = torch.cat([torch.full((1, 4), START), targets[:-1].clamp(min=0)])
    return sources, lengths, inputs, targets


def run(model: Translator) -> tuple[Tensor, Tensor, DecoderState]:
    sources, lengths, inputs, _ = batch(model.encoder.embedding.num_embeddings)
    return model.decoder(inputs, model.encode(sources, lengths))


@pytest.mark.parametrize("kind", KINDS)
def test_known_targets_at_once_are_step_after_step(kind: str) -> None:
    """Training and search compute the same."""
    model = translator(**KINDS[kind])
    sources, lengths, inputs, _ = batch()
    features, attention, _ = run(model)
    state = model.encode(sources, lengths)
    for tokens, expected, weights in zip(inputs, features, attention, strict=True):
        found = model.decoder.step(tokens, state)
        torch.testing.assert_close(found.log_probabilities, model.decoder.output(expected).log_softmax(1))
        torch.testing.assert_close(found.attention, weights)
        state = found.state


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_does_not_depend_on_its_neighbors(kind: str) -> None:
    model = translator(**KINDS[kind])
    sources, lengths, inputs, targets = batch()
    features, attention, _ = run(model)
    for column, length in enumerate(lengths.tolist()):
        steps = int((targets[:, column] >= 0).sum())
        one = slice(column, column + 1)
        alone, weights, _ = model.decoder(inputs[:steps, one], model.encode(sources[:length, one], lengths[one]))
        torch.testing.assert_close(features[:steps, one], alone)
        width = min(length, weights.shape[2])
        torch.testing.assert_close(attention[:steps, one, :width], weights)
        assert attention[:steps, one, width:].eq(0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_one_source_are_independent(kind: str) -> None:
    """Three outputs for each of four sources; then some rows are picked, then some sources."""
    model = translator(**KINDS[kind])
    decoder, (sources, lengths, *_) = model.decoder, batch()
    tokens = torch.randint(SHAPE.target_vocabulary_size, (3, 12), generator=torch.Generator().manual_seed(8))
    about = torch.arange(4).repeat_interleave(3)

    def alone(row: int, *written: int) -> torch.Tensor:
        state = model.encode(sources[:, about[row] : about[row] + 1], lengths[about[row] : about[row] + 1])
        for token in written:
            found = decoder.step(torch.tensor([token]), state)
            state = found.state
        return torch.cat([found.log_probabilities[0], found.attention[0]])

    found = decoder.step(tokens[0], decoder.expand(model.encode(sources, lengths), 3))
    rows = torch.tensor([2, 2, 0, 3, 5, 4, 6, 6, 6, 11, 10, 9])
    found = decoder.step(tokens[1], decoder.select(found.state, rows, None))
    kept = torch.tensor([0, 1, 2, 9, 10, 10])
    last = decoder.step(tokens[2, :6], decoder.select(found.state, kept, torch.tensor([0, 3])))
    for at, row in enumerate(kept.tolist()):
        expected = alone(row, int(tokens[0, rows[row]]), int(tokens[1, row]), int(tokens[2, at]))
        width = len(expected) - SHAPE.target_vocabulary_size
        torch.testing.assert_close(last.log_probabilities[at], expected[: SHAPE.target_vocabulary_size])
        torch.testing.assert_close(last.attention[at, :width], expected[SHAPE.target_vocabulary_size :])


def plain_gru(x: Tensor, h: Tensor, weights: dict[str, Tensor], suffix: str) -> Tensor:
    """One step as the equation says, of one sequence: x (input), h (hidden)."""
    of_x = weights[f"weight_ih{suffix}"] @ x + weights[f"bias_ih{suffix}"]
    of_h = weights[f"weight_hh{suffix}"] @ h + weights[f"bias_hh{suffix}"]
    (x_r, x_z, x_n), (h_r, h_z, h_n) = of_x.chunk(3), of_h.chunk(3)
    z = (x_z + h_z).sigmoid()
    return (1 - z) * (x_n + (x_r + h_r).sigmoid() * h_n).tanh() + z * h


@pytest.mark.parametrize("feeds", [False, True])
def test_equals_the_equations_in_plain_loops(feeds: bool) -> None:
    """GRU, one layer, both directions, additive attention, tied: one pair after another, one step after another."""
    model = translator(hidden_size=[6], encoder_size=[3], input_feeding=feeds)
    sources, lengths, inputs, targets = batch()
    features, attention, _ = run(model)
    encoder, decoder = model.encoder, model.decoder
    assert decoder.attention is not None
    of_encoder, of_decoder = dict(encoder.recurrent.named_parameters()), dict(decoder.recurrent.named_parameters())
    of_attention = dict(decoder.attention.named_parameters())
    for column, length in enumerate(lengths.tolist()):
        vectors = encoder.embedding.weight[sources[:length, column]]
        ahead, back = [torch.zeros(3).double()], [torch.zeros(3).double()]
        for vector in vectors:
            ahead.append(plain_gru(vector, ahead[-1], of_encoder, "_l0"))
        for vector in vectors.flip(0):
            back.append(plain_gru(vector, back[-1], of_encoder, "_l0_reverse"))
        memory = [torch.cat(pair) for pair in zip(ahead[1:], back[:0:-1], strict=True)]
        h = decoder.bridge(torch.cat([ahead[-1], back[-1]])).tanh()
        fed = torch.zeros(5).double()
        for step in range(int((targets[:, column] >= 0).sum())):
            vector = decoder.embedding.weight[inputs[step, column]]
            h = plain_gru(torch.cat([vector, fed]) if feeds else vector, h, of_decoder, "_l0")
            scores = [
                of_attention["combine.weight"][0]
                @ (
                    of_attention["project_query.weight"] @ h
                    + of_attention["project_memory.weight"] @ cell
                    + of_attention["project_memory.bias"]
                ).tanh()
                for cell in memory
            ]
            weights = torch.stack(scores).softmax(0)
            context = sum(weight * cell for weight, cell in zip(weights, memory, strict=True))
            fed = decoder.projection(torch.cat([context, h])).tanh()
            torch.testing.assert_close(features[step, column], fed)
            torch.testing.assert_close(attention[step, column, :length], weights)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_is_the_cross_entropy_of_what_counts(smoothing: float) -> None:
    model, (*_, targets) = translator(tie_embeddings="none"), batch()
    features, _, _ = run(model)
    logits = model.decoder.output(features)
    expected = F.cross_entropy(logits[targets >= 0], targets[targets >= 0], reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(model.decoder.loss(features, targets, smoothing), expected)


@pytest.mark.parametrize("kind", [*KINDS, "all tied"])
def test_every_parameter_gets_a_gradient(kind: str) -> None:
    model = translator(**KINDS.get(kind, {"tie_embeddings": "all"})).train()
    *_, targets = batch()
    features, _, _ = run(model)
    model.decoder.loss(features, targets, 0.1).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(("tied", "num_tables"), [("none", 3), ("output", 2), ("all", 1)])
def test_tied_tables_are_one(tied: str, num_tables: int) -> None:
    model = translator(tie_embeddings=tied)
    weights = model.encoder.embedding.weight, model.decoder.embedding.weight, model.decoder.output.weight
    assert len({weight.data_ptr() for weight in weights}) == num_tables


def test_shared_weights_are_one_set() -> None:
    model = translator(**KINDS["shared"])
    encoder, decoder = model.encoder.recurrent, model.decoder.recurrent
    for one, other in zip(encoder.parameters(), decoder.parameters(), strict=True):
        assert one.data_ptr() == other.data_ptr()


def test_scheduled_sampling_inserts_the_most_probable_tokens() -> None:
    model = translator(seed=5)
    sources, lengths, inputs, _ = batch()
    state = model.encode(sources, lengths)
    assert model.decoder.apply_scheduled_sampling(inputs, state, 0.0).equal(inputs)
    guesses = model.decoder.output(run(model)[0]).argmax(2)
    assert model.decoder.apply_scheduled_sampling(inputs, state, 1.0).equal(torch.cat([inputs[:1], guesses[:-1]]))
    torch.manual_seed(1)
    mixed = [model.decoder.apply_scheduled_sampling(inputs, state, 0.3) for _ in range(300)]
    share = torch.stack([one != inputs for one in mixed]).double().mean(0)[1:]
    differs = (guesses[:-1] != inputs[1:]).double()
    assert (share - 0.3 * differs).abs().max() < 0.11  # four standard deviations


@pytest.mark.parametrize("dropped", [*SILENT, "word_dropout"])
def test_dropout_acts_in_training_only(dropped: str) -> None:
    noisy, silent = translator(**{dropped: 0.4}), translator()
    assert run(noisy)[0].equal(run(silent)[0])
    assert not run(noisy.train())[0].equal(run(noisy)[0])
    assert run(silent.train())[0].equal(run(translator())[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "dot", "hidden_size": [5]}, "use general"),
        ({"attention": "none", "input_feeding": True}, "input_feeding together with an attention"),
        ({"share_weights": True}, "bidirectional"),
        ({"encoder_size": [0]}, "encoder_size"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, object], message: str) -> None:
    with pytest.raises((UsageError, ValueError), match=message):
        translator(**options)


@pytest.mark.parametrize("dropped", ["dropout", "output_dropout"])
@pytest.mark.parametrize("feeds", [False, True])
def test_locked_masks_are_those_of_all_steps(dropped: str, feeds: bool) -> None:
    """What is dropped at one step is dropped at all: with the same tokens and no recurrence, all steps are alike."""
    model = translator(**{dropped: 0.5}, input_feeding=feeds, hidden_size=[40, 40], embedding_size=40).train()
    with torch.no_grad():
        for name, parameter in model.decoder.recurrent.named_parameters():
            if "weight_hh" in name:
                parameter.zero_()
    sources, lengths, *_ = batch()
    features, _, _ = model.decoder(torch.full((4, 4), START), model.encode(sources, lengths))
    if dropped == "output_dropout":
        dropped_places = features == 0
        assert 0.3 < dropped_places.double().mean() < 0.7
        assert dropped_places.eq(dropped_places[0]).all()
    else:
        masks = model.decoder.recurrent.draw_masks(features)
        assert [mask.unique().tolist() for mask in masks] == [[0.0, 2.0]]
    again, _, _ = model.decoder(torch.full((4, 4), START), model.encode(sources, lengths))
    assert not again.equal(features)


def test_scheduled_sampling_predicts_without_dropout() -> None:
    noisy, silent = translator(seed=5, output_dropout=0.6).train(), translator(seed=5)
    sources, lengths, inputs, _ = batch()
    expected = silent.decoder.apply_scheduled_sampling(inputs, silent.encode(sources, lengths), 1.0)
    assert noisy.decoder.apply_scheduled_sampling(inputs, noisy.encode(sources, lengths), 1.0).equal(expected)
    assert noisy.decoder.training


def test_one_table_for_both_sides_needs_one_vocabulary() -> None:
    with pytest.raises(UsageError, match="one vocabulary for both sides, got 11 and 9 tokens"):
        Translator(SHAPE, TranslatorOptions(tie_embeddings="all"))
