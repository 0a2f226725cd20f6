"""The classifier: its equations against torch, independence of padding and batch, gradients, options."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra.errors import UsageError
from recurra.models.classifier import (
    ClassifierOptions,
    ClassifierOutput,
    ClassifierShape,
    SequenceClassifier,
    SequencePerceptron,
    TokenEmbedding,
    concatenate_steps,
)
from recurra.models.stack import stack_width
from recurra.nn.layers import LAYERS

TYPES, EMBEDDING, CHANNELS, WIDTHS, LABELS, TIME = 11, 5, 3, [6, 4], 7, 8
LENGTHS = torch.tensor([3, 8, 0, 1, 6])
BATCH = len(LENGTHS)
SHAPES = {
    "tokens": ClassifierShape(TYPES, 1, TIME, None),
    "series": ClassifierShape(None, CHANNELS, TIME, None),
    "windows": ClassifierShape(None, CHANNELS, TIME, TIME),
}
NO_DROPOUT = {"dropout": 0.0, "embedding_dropout": 0.0, "output_dropout": 0.0}
TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
POOLINGS = ("last", "mean", "max", "attention")

# Kind of input and options of each classifier.
CLASSIFIERS: dict[str, tuple[str, dict[str, Any]]] = {
    f"{kind}-{cell}-{pooling}{'-both' if both else ''}": (
        kind,
        {"cell": cell, "pooling": pooling, "bidirectional": both},
    )
    for kind in ("tokens", "series")
    for cell in LAYERS
    for pooling in POOLINGS
    for both in (False, True)
}
CLASSIFIERS |= {f"{kind}-mlp": (kind, {"cell": "mlp"}) for kind in SHAPES}
CLASSIFIERS["tokens-gru-attention-average"] = ("tokens", {"cell": "gru", "pooling": "attention", "merge": "average"})
CLASSIFIERS["series-rnn-max-multiply"] = ("series", {"cell": "rnn", "nonlinearity": "sigmoid", "merge": "multiply"})


def options_of(**options: Any) -> ClassifierOptions:
    return ClassifierOptions.parse(
        {"embedding_size": EMBEDDING, "embedding_std": 1.0, "hidden_size": WIDTHS, **NO_DROPOUT, **options},
        "test",
    )


def build(kind: str, **options: Any) -> SequenceClassifier:
    torch.manual_seed(3)
    return SequenceClassifier(SHAPES[kind], LABELS, options_of(**options)).double()


def inputs_of(kind: str, time: int = TIME, batch: int = BATCH) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    if kind == "tokens":
        return torch.randint(TYPES, (time, batch), generator=generator)
    return torch.randn(time, batch, CHANNELS, generator=generator, dtype=torch.double)


def with_padding(inputs: Tensor, lengths: Tensor, extra: int = 3) -> Tensor:
    """The same sequences with more padding of other values."""
    inputs = torch.cat([inputs, inputs[:extra]])
    valid = torch.arange(len(inputs)).unsqueeze(1) < lengths
    if inputs.is_floating_point():
        return torch.where(valid.unsqueeze(2), inputs, float("nan"))
    return torch.where(valid, inputs, TYPES - 1 - inputs)


def slopes(model: SequenceClassifier, output: ClassifierOutput) -> dict[str, Tensor]:
    """Gradients of a sum in which no two logits weigh the same; those without one are missing."""
    weights = torch.linspace(-1, 2, output.logits.numel()).view_as(output.logits)
    model.zero_grad()
    (output.logits * weights).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


# --- padding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_sequence_does_not_depend_on_its_batch(name: str) -> None:
    kind, options = CLASSIFIERS[name]
    model, inputs = build(kind, **options), inputs_of(kind)
    together = model(inputs, LENGTHS)
    padded = model(with_padding(inputs, LENGTHS), LENGTHS)
    torch.testing.assert_close(padded.logits, together.logits, rtol=1e-12, atol=1e-13)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = model(inputs[:length, row : row + 1], LENGTHS[row : row + 1])
        torch.testing.assert_close(alone.logits[0], together.logits[row], rtol=1e-12, atol=1e-13)
        if together.attention is not None:
            torch.testing.assert_close(alone.attention[:, 0], together.attention[:length, row], rtol=1e-12, atol=1e-13)
    assert (together.attention is not None) == (options.get("pooling") == "attention")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_gradients_do_not_depend_on_padding_and_reach_every_parameter(name: str) -> None:
    kind, options = CLASSIFIERS[name]
    model = build(kind, **options)
    time, lengths = 12, torch.tensor([3, 12, 0, 11, 6])
    inputs = inputs_of(kind, time)
    if kind == "tokens":
        inputs[:, 1], inputs[:, 3] = torch.arange(time) % TYPES, torch.arange(time).flip(0) % TYPES  # every type
    found = slopes(model, model(inputs, lengths))
    assert found.keys() == dict(model.named_parameters()).keys()
    for parameter, slope in found.items():
        assert slope.abs().max() > 1e-9, parameter
    # The maximum over time may lie before a word, which then has no gradient: not so in these, by their draws.
    if kind == "tokens" and (options["cell"] in [*TORCH, "mlp"] or options["pooling"] != "max"):
        assert (found["input_layer.weight"].abs().amax(1) > 0).all()
    padded = slopes(model, model(with_padding(inputs, lengths), lengths))
    torch.testing.assert_close(padded, found, rtol=1e-12, atol=1e-13)


# --- equations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("cell", TORCH)
def test_equals_embedding_torch_layer_and_linear(cell: str, pooling: str, both: bool) -> None:
    model = build("tokens", cell=cell, pooling=pooling, bidirectional=both, hidden_size=6)
    inputs, lengths = inputs_of("tokens"), torch.tensor([3, 8, 2, 1, 6])
    theirs = TORCH[cell](EMBEDDING, 6, bidirectional=both).double()
    theirs.load_state_dict(model.encoder.recurrent.state_dict())
    vectors = F.embedding(inputs, model.input_layer.weight)
    packed, state = theirs(pack_padded_sequence(vectors, lengths, enforce_sorted=False))
    h_n = state[0] if cell == "lstm" else state  # (directions, batch, width): each has seen the whole sequence
    steps = [
        sequence[:length] for sequence, length in zip(pad_packed_sequence(packed)[0].unbind(1), lengths, strict=True)
    ]
    read = {
        "last": torch.cat(list(h_n), 1),
        "mean": torch.stack([sequence.mean(0) for sequence in steps]),
        "max": torch.stack([sequence.amax(0) for sequence in steps]),
    }[pooling]
    torch.testing.assert_close(model(inputs, lengths).logits, model.output(read), rtol=1e-12, atol=1e-12)


def test_last_pooling_depends_on_both_ends() -> None:
    """With small recurrent weights the outputs at one end alone would hardly depend on the other end."""
    model, inputs = build("series", cell="rnn", pooling="last", hidden_size=[4]), inputs_of("series").requires_grad_()
    with torch.no_grad():
        for name, parameter in model.encoder.recurrent.named_parameters():
            if "weight_hh" in name:
                parameter.mul_(0.1)
    (slope,) = torch.autograd.grad(model(inputs, LENGTHS).logits.square().sum(), inputs)
    felt = slope.abs().amax(2)
    for row, length in ((0, 3), (1, 8), (4, 6)):
        first, last = felt[0, row], felt[length - 1, row]
        assert first > 0.05 * last
        assert last > 0.05 * first
        assert min(first, last) > 5 * felt[length // 2, row]


def test_perceptron_over_tokens() -> None:
    """Mean and maximum of the embeddings and two ReLU layers; the order of the tokens does not matter."""
    model, inputs = build("tokens", cell="mlp"), inputs_of("tokens")
    found = model(inputs, LENGTHS).logits
    for row, length in enumerate(LENGTHS.tolist()):
        vectors = model.input_layer.weight[inputs[:length, row]]
        none = vectors.new_zeros(EMBEDDING)
        hidden = torch.cat([vectors.mean(0), vectors.amax(0)] if length else [none, none])
        for layer in model.encoder.layers:
            hidden = (layer.weight @ hidden + layer.bias).clamp(min=0)
        torch.testing.assert_close(found[row], model.output(hidden), rtol=1e-12, atol=1e-12)
    assert [layer.out_features for layer in model.encoder.layers] == WIDTHS
    torch.testing.assert_close(model(inputs[:3].flip(0), LENGTHS.clamp(max=3)).logits[0], found[0])


def test_concatenated_steps_are_cut_or_padded_with_zeros() -> None:
    series = inputs_of("series")
    for steps in (5, TIME, 10):
        found = concatenate_steps(with_padding(series, LENGTHS), LENGTHS, steps)
        assert found.shape == (BATCH, steps * CHANNELS)
        for row, length in enumerate(LENGTHS.tolist()):
            expected = torch.zeros(steps, CHANNELS, dtype=torch.double)
            expected[: min(length, steps)] = series[: min(length, steps), row]
            assert torch.equal(found[row], expected.flatten())


def test_the_perceptron_concatenates_steps_only_of_series_of_one_length() -> None:
    widths = {kind: build(kind, cell="mlp").encoder.layers[0].in_features for kind in SHAPES}
    assert widths == {"tokens": 2 * EMBEDDING, "series": 2 * CHANNELS, "windows": TIME * CHANNELS}
    agreed = SequenceClassifier(ClassifierShape(TYPES, 1, TIME, TIME), LABELS, options_of(cell="mlp"))
    assert isinstance(agreed.encoder, SequencePerceptron)
    assert agreed.encoder.steps is None  # the order of tokens should not matter


# --- dropout -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("option", ["dropout", "embedding_dropout", "output_dropout", "word_dropout"])
def test_each_dropout_acts_in_training_only(option: str, locked: bool) -> None:
    model = build("tokens", locked_dropout=locked, **{option: 0.5})
    inputs = inputs_of("tokens")
    assert not torch.equal(model(inputs, LENGTHS).logits, model(inputs, LENGTHS).logits)
    model.eval()
    assert torch.equal(model(inputs, LENGTHS).logits, model(inputs, LENGTHS).logits)
    assert torch.equal(model(inputs, LENGTHS).logits, build("tokens")(inputs, LENGTHS).logits)


def test_locked_dropout_of_vectors_keeps_its_mask_over_time() -> None:
    for locked in (False, True):
        model = build("tokens", embedding_dropout=0.5, locked_dropout=locked, embedding_size=40)
        dropped = model.input_layer(inputs_of("tokens"), LENGTHS) == 0
        assert dropped.any()
        assert torch.equal(dropped, dropped[:1].expand_as(dropped)) == locked
        assert not torch.equal(dropped[:, 0], dropped[:, 1])


def test_word_dropout_drops_all_occurrences_of_a_word() -> None:
    inputs = inputs_of("tokens")
    vectors = build("tokens", word_dropout=0.5).input_layer(inputs, LENGTHS)
    dropped = {int(id) for id in inputs[(vectors == 0).all(-1)]}
    kept = {int(id) for id in inputs[(vectors != 0).all(-1)]}
    assert dropped
    assert kept
    assert not dropped & kept


def test_drift_is_a_scale_and_an_offset_for_each_channel_of_each_series() -> None:
    model, series = build("series", drift=0.3), inputs_of("series", 90, 40)
    lengths = torch.full((40,), 90)
    moved = model.input_layer(series, lengths)
    factor = (moved[1:] - moved[:1]) / (series[1:] - series[:1])
    torch.testing.assert_close(factor, factor[:1].expand_as(factor), rtol=1e-6, atol=1e-6)
    shift = moved[0] - factor[0] * series[0]
    for drawn in (factor[0] - 1, shift):
        assert len(drawn.unique()) == 40 * CHANNELS
        assert abs(float(drawn.mean())) < 4 * 0.3 / 120**0.5
        assert 0.2 < float(drawn.std()) < 0.4
    assert not torch.equal(model.input_layer(series, lengths), moved)
    assert torch.equal(model.eval().input_layer(series, lengths), series)


def test_noise_is_for_each_measurement() -> None:
    model, series = build("series", noise=0.2), inputs_of("series", 90, 40)
    lengths = torch.full((40,), 90)
    noise = model.input_layer(series, lengths) - series
    assert 0.19 < float(noise.std()) < 0.21
    assert abs(float(noise.mean())) < 4 * 0.2 / noise.numel() ** 0.5
    assert float((noise[1:] * noise[:-1]).mean()) < 0.002
    assert torch.equal(model.eval().input_layer(series, lengths), series)


def test_warp_changes_valid_steps_only() -> None:
    model, lengths = build("series", warp=2.0), torch.tensor([90, 50, 1])
    series = with_padding(inputs_of("series", 90, 3), lengths)
    warped = model.input_layer(series, lengths)
    assert warped[:, :2].isnan().sum() == series[:, :2].isnan().sum()
    assert not torch.equal(warped[:50, :2], series[:50, :2])
    assert torch.equal(warped[0, 2], series[0, 2])
    assert torch.equal(model.eval().input_layer(series, lengths).nan_to_num(), series.nan_to_num())


def test_one_layer_has_no_dropout_between_layers() -> None:
    model, inputs = build("tokens", dropout=0.5, hidden_size=[4]), inputs_of("tokens")
    assert torch.equal(model(inputs, LENGTHS).logits, model(inputs, LENGTHS).logits)


# --- options -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("merge", "width"), [("concat", 8), ("sum", 4), ("average", 4), ("multiply", 4)])
def test_width_of_a_stack(merge: str, width: int) -> None:
    assert stack_width(options_of(merge=merge)) == width
    assert build("series", merge=merge).output.in_features == width
    assert stack_width(options_of(merge=merge, bidirectional=False)) == 4


def test_a_single_number_is_one_layer() -> None:
    assert options_of(hidden_size=9).hidden_size == [9]
    assert build("series", hidden_size=[9, 5, 2]).encoder.recurrent.widths == (9, 5, 2)


def test_options_reach_the_layers() -> None:
    options = {"bidirectional": False, "hidden_size": [6]}
    identity = build("series", cell="rnn", initialization="identity", nonlinearity="relu", **options).encoder.recurrent
    assert torch.equal(identity.weight_hh_l0, torch.eye(6).double())
    assert identity.nonlinearity == "relu"
    remembering = build("series", forget_bias=2.5, **options).encoder.recurrent
    total = remembering.bias_ih_l0 + remembering.bias_hh_l0
    assert torch.equal(total.chunk(4)[1], torch.full((6,), 2.5).double())
    chrono = build("series", initialization="chrono", **options).encoder.recurrent
    forget = (chrono.bias_ih_l0 + chrono.bias_hh_l0).chunk(4)[1].exp()  # 1 .. longest - 1
    assert ((forget >= 1) & (forget <= TIME - 1)).all()
    assert forget.max() > 2
    assert chrono.locked_dropout
    assert not build("series", locked_dropout=False).encoder.recurrent.locked_dropout
    with pytest.raises(UsageError, match="identity: expected an RNN"):
        build("series", initialization="identity")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "last", "merge": "sum"}, "merge"),
        ({"hidden_size": []}, "hidden_size"),
        ({"hidden_size": [4, 0]}, "hidden_size"),
        ({"output_dropout": 1.0}, "output_dropout"),
        ({"cell": "lstmm"}, "cell"),
        ({"poolings": "max"}, "pooling"),
    ],
)
def test_impossible_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        options_of(**options)


def test_last_pooling_of_one_direction_works_with_any_merge() -> None:
    assert options_of(pooling="last", merge="sum", bidirectional=False).pooling == "last"


def test_ratios_become_the_first_features_of_embeddings() -> None:
    torch.manual_seed(2)
    vectors = TokenEmbedding(4, options_of(embedding_size=3))
    before, ratios = vectors.weight.detach().clone(), np.arange(8.0).reshape(4, 2)
    vectors.initialize_from_ratios(ratios, 0.5)
    np.testing.assert_array_equal(vectors.weight[:, :2].detach(), ratios / 2)
    assert torch.equal(vectors.weight[:, 2:], before[:, 2:])
    with pytest.raises(UsageError, match="naive_bayes: needs an embedding_size of at least the number of labels, 4"):
        vectors.initialize_from_ratios(np.zeros((4, 4)), 1.0)
