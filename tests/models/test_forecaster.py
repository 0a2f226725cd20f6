"""The forecaster: heads against their definitions, both ways of decoding against torch.nn step by step, gradients."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from recurra.errors import UsageError
from recurra.metrics.forecasts import pinball_losses
from recurra.models.forecast_heads import GaussianHead, PointHead, QuantileHead, head_of
from recurra.models.forecaster import Forecaster, ForecasterOptions, ForecasterShape

CHANNELS, TARGETS, KNOWN, CONTEXT, HORIZON, BATCH, WIDTHS = 6, 2, 3, 7, 4, 5, [8, 3]
SHAPE = ForecasterShape(CHANNELS, TARGETS, KNOWN, CONTEXT, HORIZON)
LEVELS = [0.05, 0.3, 0.5, 0.9]
TORCH = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def values(*shape: int, seed: int = 5) -> Tensor:
    return torch.randn(*shape, dtype=torch.double, generator=torch.Generator().manual_seed(seed))


def options_of(**options: Any) -> ForecasterOptions:
    return ForecasterOptions.parse({"hidden_size": WIDTHS, "quantiles": LEVELS, **options}, "test")


def build(shape: ForecasterShape = SHAPE, **options: Any) -> Forecaster:
    torch.manual_seed(3)
    parsed = options_of(**options)
    model = Forecaster(shape, head_of(parsed.head, parsed.quantiles, "mse"), parsed).double()
    for parameter in model.parameters():  # a highway begins at 0
        nn.init.normal_(parameter, std=0.4)
    return model


def situation() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Context, base, future and targets."""
    return (
        values(CONTEXT, BATCH, CHANNELS),
        values(HORIZON, BATCH, TARGETS, seed=6),
        values(HORIZON, BATCH, KNOWN, seed=7),
        values(HORIZON, BATCH, TARGETS, seed=8),
    )


def torch_twin(stack: nn.Module, cell: str, input_size: int, bidirectional: bool = False) -> list[nn.Module]:
    """The layers of a stack as one torch layer each."""
    layers, weights = [], stack.state_dict()
    for number, width in enumerate(WIDTHS):
        size = WIDTHS[number - 1] * (1 + bidirectional) if number else input_size
        layer = TORCH[cell](size, width, bidirectional=bidirectional).double()
        own = {name: weight for name, weight in weights.items() if f"_l{number}" in name}
        layer.load_state_dict({name.replace(f"_l{number}", "_l0"): weight for name, weight in own.items()})
        layers.append(layer)
    return layers


# --- heads -------------------------------------------------------------------------------------------------------


def test_the_gaussian_head_is_the_normal_distribution() -> None:
    head, parameters, targets = GaussianHead(), values(3, 4, 2), values(3, 4, seed=6)
    normal = Normal(parameters[..., 0], parameters[..., 1].exp())
    torch.testing.assert_close(head.loss(parameters, targets), -normal.log_prob(targets).mean())
    torch.testing.assert_close(head.middle(parameters), normal.mean)
    told = head.quantiles(parameters, [0.2, 0.5, 0.99])
    for index, level in enumerate((0.2, 0.5, 0.99)):
        torch.testing.assert_close(normal.cdf(told[..., index]), torch.full((3, 4), level).double(), atol=1e-7, rtol=0)
    certain = torch.tensor([[2.0, -1e6]])
    assert head.loss(certain, torch.tensor([2.0])).isfinite()


def test_the_point_head_costs_what_its_name_says() -> None:
    parameters, targets = torch.tensor([[1.0], [5.0]]), torch.tensor([1.5, 2.0])  # errors 0.5 and 3
    costs = {"mse": (0.25 + 9) / 2, "mae": 1.75, "huber": (0.125 + 2.5) / 2}
    for name, cost in costs.items():
        assert float(PointHead(name).loss(parameters, targets)) == pytest.approx(cost)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the run forecasts points; train one with head"):
        PointHead("mse").quantiles(parameters, [0.5])


def test_the_quantile_head_learns_each_of_its_levels() -> None:
    head, parameters, targets = QuantileHead(LEVELS), values(3, 5, 4), values(3, 5, seed=6)
    each = [pinball_losses(parameters[..., i].numpy(), targets.numpy(), q).mean() for i, q in enumerate(LEVELS)]
    assert float(head.loss(parameters, targets)) == pytest.approx(sum(each) / 4, rel=1e-12)
    noise = torch.special.ndtri((torch.arange(2000).double() + 0.5) / 2000)  # the best constants are its quantiles
    best = torch.zeros(4, dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.Adam([best], lr=0.03)
    for _ in range(200):
        optimizer.zero_grad()
        head.loss(best.expand(2000, 4), noise).backward()
        optimizer.step()
    wanted = [math.sqrt(2) * torch.special.erfinv(torch.tensor(2 * level - 1.0)) for level in LEVELS]
    torch.testing.assert_close(best.detach(), torch.tensor(wanted).double(), atol=0.03, rtol=0)  # Adam's last steps


def test_quantiles_never_cross_and_lie_between_those_that_are_known() -> None:
    head = QuantileHead(LEVELS)
    parameters = torch.tensor([[4.0, 1.0, 2.0, 8.0]])  # crossing
    assert head.quantiles(parameters, LEVELS).tolist() == [[1, 2, 4, 8]]
    assert head.middle(parameters).tolist() == [4]
    told = head.quantiles(parameters, [0.05, 0.1, 0.7, 0.9])[0].tolist()
    assert told == pytest.approx([1, 1 + 0.05 / 0.25, 4 + 4 * 0.5, 8])
    for level in (0.04, 0.95):
        with pytest.raises(UsageError, match=r"quantiles: expected numbers from 0\.05 to 0\.9, what the run learned"):
            head.quantiles(parameters, [level])
    with pytest.raises(UsageError, match="between 0 and 1"):
        GaussianHead().quantiles(torch.zeros(1, 2), [1.0])


@pytest.mark.parametrize("kind", ["point", "gaussian", "quantile"])
def test_moved_parameters_are_those_of_the_moved_value(kind: Any) -> None:
    head = head_of(kind, LEVELS, "mse")
    parameters, center, scale = values(3, 5, head.width), values(3, 5, seed=6), values(5, seed=7).abs()
    moved = head.move(parameters, center, scale)
    torch.testing.assert_close(head.middle(moved), head.middle(parameters) * scale + center)
    if head.has_quantiles:
        told = head.quantiles(parameters, [0.1, 0.5, 0.8])
        expected = told * scale.unsqueeze(-1) + center.unsqueeze(-1)
        torch.testing.assert_close(head.quantiles(moved, [0.1, 0.5, 0.8]), expected)


# --- direct ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", TORCH)
def test_direct_is_torch_and_one_linear_map(cell: str, bidirectional: bool) -> None:
    model = build(cell=cell, bidirectional=bidirectional, head="gaussian", highway=3)
    context, base, future, _ = situation()
    output = context
    for layer in torch_twin(model.encoder.recurrent, cell, CHANNELS, bidirectional):
        output, state = layer(output)
    hidden = state[0] if cell == "lstm" else state  # (directions, batch, hidden)
    weight, bias = model.decoder.output.weight, model.decoder.output.bias
    found = model(context, base, future)
    assert found.shape == (HORIZON, BATCH, TARGETS, 2)
    for lane in range(BATCH):
        joined = torch.cat([*hidden[:, lane], future[:, lane].flatten()])
        expected = (weight @ joined + bias).view(HORIZON, TARGETS, 2)
        straight = model.decoder.highway.weight @ context[-3:, lane, :TARGETS].flatten()
        mean = expected[..., 0] + base[:, lane] + straight.view(HORIZON, TARGETS)
        torch.testing.assert_close(found[:, lane, :, 0], mean, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(found[:, lane, :, 1], expected[..., 1], rtol=1e-10, atol=1e-10)


def test_a_perceptron_reads_the_whole_context() -> None:
    model = build(cell="mlp")
    context, base, future, _ = situation()
    hidden = context[:, 2].flatten()
    for layer in model.encoder.layers:
        hidden = (layer.weight @ hidden + layer.bias).clamp(min=0)
    expected = model.decoder.output(torch.cat([hidden, future[:, 2].flatten()])).view(HORIZON, TARGETS, 1)
    torch.testing.assert_close(model(context, base, future)[:, 2], expected + base[:, 2].unsqueeze(-1))


def test_a_highway_begins_at_the_plain_forecast() -> None:
    model = Forecaster(SHAPE, PointHead("mse"), options_of(highway=CONTEXT))
    assert not model.decoder.highway.weight.any()


# --- step by step ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", TORCH)
def test_each_step_is_given_the_one_before(cell: str) -> None:
    """By hand with torch layers: forecasts of their own, for longer than was trained on."""
    model = build(cell=cell, decoding="autoregressive", head="quantile")
    steps = HORIZON + 3
    context = values(CONTEXT, BATCH, CHANNELS)
    base, future = values(steps, BATCH, TARGETS, seed=6), values(steps, BATCH, KNOWN, seed=7)
    output, states = context, []
    for layer in torch_twin(model.encoder.recurrent, cell, CHANNELS):
        output, state = layer(output)
        states.append(state)
    decoder = torch_twin(model.decoder.recurrent, cell, TARGETS + KNOWN)
    before, expected = context[-1:, :, :TARGETS], []
    for step in range(steps):
        output = torch.cat([before, future[step : step + 1]], 2)
        for number, layer in enumerate(decoder):
            output, states[number] = layer(output, states[number])
        told = model.decoder.output(output).view(1, BATCH, TARGETS, len(LEVELS)) + base[step][None, ..., None]
        before = told.sort(-1).values[..., 2]
        expected.append(told)
    torch.testing.assert_close(model(context, base, future), torch.cat(expected), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("head", ["point", "gaussian", "quantile"])
def test_teacher_forcing_gives_the_true_step_before(head: str) -> None:
    context, base, future, targets = situation()
    taught = build(decoding="autoregressive", head=head)
    free = taught(context, base, future)
    own = taught.decoder.head.middle(free)
    torch.testing.assert_close(taught(context, base, future, own), free)  # its own forecasts for the truth
    found = taught(context, base, future, targets)
    torch.testing.assert_close(found[0], free[0])
    assert not torch.allclose(found[1:], free[1:])
    later = targets.clone()
    later[2:] = 7.0  # step 2 is given to step 3 at the earliest
    torch.testing.assert_close(taught(context, base, future, later)[:3], found[:3])
    assert not torch.allclose(taught(context, base, future, later)[3], found[3])
    none = build(decoding="autoregressive", head=head, teacher_forcing=0.0)
    torch.testing.assert_close(none(context, base, future, targets), free)
    torch.manual_seed(1)
    half = build(decoding="autoregressive", head=head, teacher_forcing=0.5)
    kinds = set()
    for _ in range(20):  # each step after the first is one of the two
        found_half = half(context, base, future, targets)[1]
        kinds.add((torch.allclose(found_half, free[1]), torch.allclose(found_half, found[1])))
    assert kinds == {(True, False), (False, True)}


# --- all ---------------------------------------------------------------------------------------------------------

ALL = [
    (cell, decoding, head)
    for cell, decoding, head in itertools.product(
        ("rnn", "lstm", "gru", "mlp"), ("direct", "autoregressive"), ("point", "gaussian", "quantile")
    )
    if (cell, decoding) != ("mlp", "autoregressive")
]


@pytest.mark.parametrize(("cell", "decoding", "head"), ALL)
def test_every_parameter_learns_and_no_window_knows_another(cell: str, decoding: str, head: str) -> None:
    extra = {"highway": 4} if decoding == "direct" else {"teacher_forcing": 0.0}
    model = build(cell=cell, decoding=decoding, head=head, **extra)
    context, base, future, targets = situation()
    found = model(context, base, future, targets)
    alone = model(context[:, 3:4], base[:, 3:4], future[:, 3:4], targets[:, 3:4])
    torch.testing.assert_close(alone[:, 0], found[:, 3], rtol=1e-10, atol=1e-10)
    model.decoder.head.loss(found, targets).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


@pytest.mark.parametrize("decoding", ["direct", "autoregressive"])
def test_without_covariates(decoding: str) -> None:
    model = build(ForecasterShape(1, 1, 0, CONTEXT, HORIZON), decoding=decoding)
    found = model(values(CONTEXT, BATCH, 1), values(HORIZON, BATCH, 1), values(HORIZON, BATCH, 0))
    assert found.shape == (HORIZON, BATCH, 1, 1)
    assert (found[:, 0] != found[:, 1]).all()


@pytest.mark.parametrize("decoding", ["direct", "autoregressive"])
def test_dropout_acts_in_training_only(decoding: str) -> None:
    model = build(decoding=decoding, output_dropout=0.5, dropout=0.5)
    told = [model(*situation()[:3]) for _ in range(2)]
    assert not torch.equal(*told)
    model.eval()
    assert torch.equal(model(*situation()[:3]), build(decoding=decoding)(*situation()[:3]))


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "mlp", "decoding": "autoregressive"},
        {"bidirectional": True, "decoding": "autoregressive"},
        {"highway": 2, "decoding": "autoregressive"},
        {"quantiles": [0.9, 0.5, 0.1]},
        {"quantiles": [0.1, 0.9]},
        {"quantiles": [0.0, 0.5]},
        {"quantiles": []},
        {"teacher_forcing": 1.5},
        {"highway": -1},
        {"cell": "transformer"},
    ],
)
def test_impossible_options(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"test: .*expected"):
        options_of(**options)
