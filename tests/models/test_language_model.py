"""The language model: its equations against plain torch, its state, its dropout, its options."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from recurra.errors import UsageError
from recurra.models.language_model import LanguageModel, LanguageModelOptions
from recurra.nn.layers import LAYERS

TYPES, EMBEDDING, WIDTHS, TIME, BATCH = 11, 5, [7, 3], 6, 2
NO_DROPOUT = {"dropout": 0.0, "embedding_dropout": 0.0, "output_dropout": 0.0}


def build(**options: object) -> LanguageModel:
    torch.manual_seed(3)
    shape = {"embedding_size": EMBEDDING, "hidden_size": WIDTHS, **NO_DROPOUT, **options}
    return LanguageModel(TYPES, LanguageModelOptions.parse(shape, "test")).double()


def tokens(time: int = TIME) -> torch.Tensor:
    return torch.randint(TYPES, (time, BATCH), generator=torch.Generator().manual_seed(5))


def test_equals_embedding_two_torch_lstms_and_linear() -> None:
    model = build()
    inputs = tokens()
    lower, upper = nn.LSTM(EMBEDDING, WIDTHS[0]).double(), nn.LSTM(WIDTHS[0], WIDTHS[1]).double()
    weights = model.recurrent.state_dict()
    lower.load_state_dict({name: weight for name, weight in weights.items() if name.endswith("_l0")})
    upper.load_state_dict({name[:-1] + "0": weight for name, weight in weights.items() if name.endswith("_l1")})
    expected = model.output(upper(lower(model.embedding(inputs))[0])[0])
    torch.testing.assert_close(model(inputs)[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", LAYERS)
def test_carried_state_equals_one_long_text(cell: str) -> None:
    model = build(cell=cell)
    inputs = tokens()
    whole, _ = model(inputs)
    first, state = model(inputs[:4])
    second, _ = model(inputs[4:], model.detach(state))
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", LAYERS)
def test_detach_cuts_the_gradient_and_keeps_the_values(cell: str) -> None:
    model = build(cell=cell)
    _, state = model(tokens())
    cut = model.detach(state)

    def leaves(nested: object) -> list[torch.Tensor]:
        return [nested] if isinstance(nested, torch.Tensor) else [leaf for part in nested for leaf in leaves(part)]

    assert all(leaf.requires_grad for leaf in leaves(state))
    assert not any(leaf.requires_grad for leaf in leaves(cut))
    for before, after in zip(leaves(state), leaves(cut), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("cell", LAYERS)
@pytest.mark.parametrize("tied", [False, True])
def test_every_parameter_gets_a_gradient(cell: str, tied: bool) -> None:
    model = build(cell=cell, tie_embeddings=tied, hidden_size=[7, EMBEDDING])
    inputs = torch.arange(TYPES).repeat(2).unsqueeze(1)  # every type, so that every row of the table is used
    logits, _ = model(inputs)
    F.cross_entropy(logits[:-1].flatten(0, 1), inputs[1:].flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad.abs().flatten(1).sum(-1) > 0).all() if parameter.dim() > 1 else parameter.grad.any(), (
            name
        )


def test_tied_weights_are_one_parameter() -> None:
    model = build(tie_embeddings=True, hidden_size=[7, EMBEDDING])
    assert model.output.weight is model.embedding.weight
    assert "output.weight" not in dict(model.named_parameters())


def test_initial_predictions_are_the_frequencies() -> None:
    model = build()
    frequencies = torch.linspace(1, 2, TYPES, dtype=torch.double)
    frequencies /= frequencies.sum()
    model.initialize_output_bias(frequencies)
    with torch.no_grad():
        model.output.weight.zero_()
    predicted = model(tokens())[0].softmax(-1)
    torch.testing.assert_close(predicted, frequencies.expand_as(predicted), rtol=1e-12, atol=1e-12)


def test_initial_range_holds_for_every_weight() -> None:
    model = build(initial_range=0.03)
    for name, parameter in model.named_parameters():
        assert parameter.abs().max() <= 0.03, name
        assert parameter.abs().max() > 0.02, name


def test_word_dropout_drops_all_occurrences_of_a_word() -> None:
    model = build(word_dropout=0.5)
    seen: list[torch.Tensor] = []
    model.embedding_dropout.register_forward_hook(lambda _module, args, _out: seen.append(args[0]))
    inputs = tokens(40)
    model(inputs)
    vectors = seen[0]
    dropped = {int(id) for id in inputs[(vectors == 0).all(-1)]}
    kept = {int(id) for id in inputs[(vectors != 0).any(-1)]}
    assert dropped
    assert kept
    assert not dropped & kept


@pytest.mark.parametrize("option", ["dropout", "embedding_dropout", "output_dropout"])
@pytest.mark.parametrize("locked", [False, True])
def test_each_dropout_acts_in_training_only(option: str, locked: bool) -> None:
    model = build(**{option: 0.5, "locked_dropout": locked})
    inputs = tokens()
    assert not torch.equal(model(inputs)[0], model(inputs)[0])
    model.eval()
    assert torch.equal(model(inputs)[0], model(inputs)[0])


def test_locked_output_dropout_keeps_its_mask_over_time() -> None:
    model = build(output_dropout=0.5, locked_dropout=True, hidden_size=[7, 40])
    hidden, _ = model.hidden(tokens())
    dropped = hidden == 0
    assert dropped.any()
    assert torch.equal(dropped, dropped[:1].expand_as(dropped))


def test_one_layer_has_no_dropout_between_layers() -> None:
    model = build(dropout=0.5, hidden_size=[4])  # torch would warn, and warnings are errors
    inputs = tokens()
    assert torch.equal(model(inputs)[0], model(inputs)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tie_embeddings": True}, "last hidden_size"),
        ({"hidden_size": []}, "hidden_size"),
        ({"hidden_size": [4, 0]}, "hidden_size"),
        ({"dropout": 1.0}, "dropout"),
        ({"cell": "lstmm"}, "cell"),
    ],
)
def test_impossible_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(**options)
