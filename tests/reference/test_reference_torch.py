"""The reference against torch in float64: layers, truncation, compositions, output, embedding, clipping."""

from functools import partial

import numpy as np
import pytest
import torch
from reference_proofs import (
    LAYERS,
    SIZES,
    TORCH_TOLERANCE,
    WITH_TWIN,
    functions,
    named,
    prove_against_torch,
    relative_error,
    state,
    torch_layer,
    torch_state,
    weights,
)

from recurra import reference
from recurra.reference.mgu import mgu_forward

TIME, BATCH, INPUT, HIDDEN = SIZES.values()


def assert_equal(actual: np.ndarray, expected: torch.Tensor) -> None:
    assert relative_error(actual, expected.detach().numpy()) <= TORCH_TOLERANCE


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array.copy()).requires_grad_()


@pytest.mark.parametrize("name", WITH_TWIN)
def test_layer_is_torch_nn(name: str) -> None:
    prove_against_torch(name)


def test_sigmoid_rnn_is_its_equation() -> None:
    rng = np.random.default_rng(10)
    x, h0 = rng.standard_normal((TIME, BATCH, INPUT)), rng.standard_normal((BATCH, HIDDEN))
    ws = weights(LAYERS["rnn_sigmoid"], rng, INPUT, HIDDEN)
    h = torch.from_numpy(h0)
    w_ih, w_hh, b_ih, b_hh = map(torch.from_numpy, ws)
    for x_t in torch.from_numpy(x):
        h = torch.sigmoid(x_t @ w_ih.T + b_ih + h @ w_hh.T + b_hh)
    assert_equal(reference.rnn_forward(x, h0, *ws, nonlinearity="sigmoid")[1], h)


def test_reset_before_is_the_equation_of_the_paper() -> None:
    rng = np.random.default_rng(11)
    x, h0 = rng.standard_normal((TIME, BATCH, INPUT)), rng.standard_normal((BATCH, HIDDEN))
    ws = weights(LAYERS["gru_reset_before"], rng, INPUT, HIDDEN)
    (w_r, w_z, w_n), (u_r, u_z, u_n), (b_r, b_z, b_n), (e_r, e_z, e_n) = (torch.from_numpy(w).chunk(3) for w in ws)
    h = torch.from_numpy(h0)
    for x_t in torch.from_numpy(x):
        r = torch.sigmoid(x_t @ w_r.T + h @ u_r.T + b_r + e_r)
        z = torch.sigmoid(x_t @ w_z.T + h @ u_z.T + b_z + e_z)
        n = torch.tanh(x_t @ w_n.T + (r * h) @ u_n.T + b_n + e_n)
        h = z * h + (1 - z) * n
    assert_equal(reference.gru_forward(x, h0, *ws, reset_after=False)[1], h)


def test_mgu_is_the_equation_of_the_paper() -> None:
    rng = np.random.default_rng(19)
    x, h0 = rng.standard_normal((TIME, BATCH, INPUT)), rng.standard_normal((BATCH, HIDDEN))
    ws = weights(LAYERS["mgu"], rng, INPUT, HIDDEN)
    (w_f, w_n), (u_f, u_n), (b_f, b_n), (e_f, e_n) = (torch.from_numpy(w).chunk(2) for w in ws)
    h = torch.from_numpy(h0)
    for x_t in torch.from_numpy(x):
        f = torch.sigmoid(x_t @ w_f.T + h @ u_f.T + b_f + e_f)
        h = (1 - f) * h + f * torch.tanh(x_t @ w_n.T + (f * h) @ u_n.T + b_n + e_n)
    assert_equal(mgu_forward(x, h0, *ws)[1], h)


@pytest.mark.parametrize("name", WITH_TWIN)
@pytest.mark.parametrize("window", [1, 2, 3, 5, 9])
def test_truncation_is_detaching_the_carried_state(name: str, window: int) -> None:
    layer, of, rng = LAYERS[name], functions(name), np.random.default_rng(12)
    x, d_h_all = rng.standard_normal((TIME, BATCH, INPUT)), rng.standard_normal((TIME, BATCH, HIDDEN))
    start, ws = state(layer, rng, BATCH, HIDDEN), weights(layer, rng, INPUT, HIDDEN)
    d_final = state(layer, rng, BATCH, HIDDEN)
    d_x, d_state, *d_weights = of.backward(d_h_all, d_final, of.forward(x, start, *ws)[2], window=window)

    twin, inputs, begin = torch_layer(name, ws), tensor(x), torch_state([start])
    pair = isinstance(begin, tuple)
    carried, outputs = begin, []
    for first in range(0, TIME, window):
        if first:
            carried = tuple(s.detach() for s in carried) if pair else carried.detach()
        output, carried = twin(inputs[first : first + window], carried)
        outputs.append(output)
    loss = (torch.cat(outputs) * torch.from_numpy(d_h_all)).sum()
    for end, probe in zip(carried, d_final, strict=True) if pair else [(carried[0], d_final)]:
        loss = loss + (end * torch.from_numpy(probe)).sum()
    loss.backward()

    assert_equal(d_x, inputs.grad)
    for by_hand, argument in zip(d_state, begin, strict=True) if pair else [(d_state, begin)]:
        assert_equal(by_hand, argument.grad[0])
    for by_hand, parameter in zip(d_weights, twin.parameters(), strict=True):
        assert_equal(by_hand, parameter.grad)


def test_a_window_of_all_steps_cuts_nothing_and_a_shorter_one_does() -> None:
    layer, rng = LAYERS["lstm"], np.random.default_rng(13)
    x, d_h_all = rng.standard_normal((TIME, BATCH, INPUT)), rng.standard_normal((TIME, BATCH, HIDDEN))
    start, d_final = state(layer, rng, BATCH, HIDDEN), state(layer, rng, BATCH, HIDDEN)
    cache = reference.lstm_forward(x, start, *weights(layer, rng, INPUT, HIDDEN))[2]
    full, whole, short = (reference.lstm_backward(d_h_all, d_final, cache, window) for window in (None, TIME, TIME - 1))
    assert np.array_equal(full.d_weight_hh, whole.d_weight_hh)
    assert not np.allclose(full.d_weight_hh, short.d_weight_hh)


@pytest.mark.parametrize("name", WITH_TWIN)
def test_stack_of_bidirectional_layers_is_torch_nn(name: str) -> None:
    """Compositions nest: two layers, each in both directions, each direction with its own state and weights."""
    layer, of, rng = LAYERS[name], functions(name), np.random.default_rng(14)
    x, d_h_all = rng.standard_normal((TIME, BATCH, INPUT)), rng.standard_normal((TIME, BATCH, 2 * HIDDEN))
    starts, d_finals = ([tuple(state(layer, rng, BATCH, HIDDEN) for _ in range(2)) for _ in range(2)] for _ in range(2))
    ws = [tuple(weights(layer, rng, width, HIDDEN) for _ in range(2)) for width in (INPUT, 2 * HIDDEN)]
    forward = partial(reference.bidirectional_forward, of.forward)
    backward = partial(reference.bidirectional_backward, of.backward)
    h_all, _, cache = reference.stacked_forward(forward, x, starts, *ws)
    by_hand = reference.stacked_backward(backward, d_h_all, d_finals, cache)

    twin = torch_layer(name, *(w for pair in ws for w in pair), num_layers=2, bidirectional=True)
    inputs, begin = tensor(x), torch_state([s for pair in starts for s in pair])
    outputs, end = twin(inputs, begin)
    probe = torch_state([s for pair in d_finals for s in pair])
    ends = zip(end, probe, strict=True) if isinstance(end, tuple) else [(end, probe)]
    loss = (outputs * torch.from_numpy(d_h_all)).sum() + sum((a * b.detach()).sum() for a, b in ends)
    loss.backward()

    assert_equal(h_all, outputs)
    assert_equal(by_hand.d_x, inputs.grad)
    parameters = iter(twin.parameters())
    for number, direction in enumerate(direction for bottom_up in by_hand.layers for direction in bottom_up.directions):
        for gradient in direction[2:]:
            assert_equal(gradient, next(parameters).grad)
        for key, gradient in named(direction.d_state, direction[2:]).items():
            if key in ("h0", "c0"):
                wanted = begin[("h0", "c0").index(key)] if isinstance(begin, tuple) else begin
                assert_equal(gradient, wanted.grad[number])


@pytest.mark.parametrize(
    ("merge", "combine"),
    [
        ("sum", lambda a, b: a + b),
        ("average", lambda a, b: (a + b) / 2),
        ("multiply", lambda a, b: a * b),
        ("concat", lambda a, b: np.concatenate([a, b], axis=2)),
    ],
)
def test_merge_joins_the_same_step_of_both_directions(merge: reference.composition.Merge, combine) -> None:
    layer, rng = LAYERS["gru"], np.random.default_rng(15)
    x, starts = rng.standard_normal((TIME, BATCH, INPUT)), rng.standard_normal((2, BATCH, HIDDEN))
    ahead, reverse = (weights(layer, rng, INPUT, HIDDEN) for _ in range(2))
    h_ahead, final_ahead, _ = reference.gru_forward(x, starts[0], *ahead)
    h_flipped, final_reverse, _ = reference.gru_forward(np.ascontiguousarray(x[::-1]), starts[1], *reverse)
    h_all, finals, _ = reference.bidirectional_forward(reference.gru_forward, x, tuple(starts), ahead, reverse, merge)
    assert np.array_equal(h_all, combine(h_ahead, h_flipped[::-1]))
    assert np.array_equal(finals[0], final_ahead)
    assert np.array_equal(finals[1], final_reverse)


def test_output_is_torch_cross_entropy() -> None:
    rng = np.random.default_rng(16)
    h, weight, bias = (
        rng.standard_normal((TIME, BATCH, HIDDEN)),
        rng.standard_normal((6, HIDDEN)),
        rng.standard_normal(6),
    )
    targets = rng.integers(6, size=(TIME, BATCH))
    loss, probabilities, cache = reference.output_forward(h, weight, bias, targets)
    by_hand = reference.output_backward(cache)
    arguments = [tensor(h), tensor(weight), tensor(bias)]
    logits = torch.nn.functional.linear(*arguments)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(targets).flatten())
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=TORCH_TOLERANCE)
    assert_equal(probabilities, logits.softmax(-1))
    for gradient, argument in zip(by_hand, arguments, strict=True):
        assert_equal(gradient, argument.grad)


def test_softmax_of_huge_logits_is_finite() -> None:
    logits = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]])
    assert np.allclose(reference.softmax(logits), [[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    weight = np.eye(3)
    loss, _, cache = reference.output_forward(logits[:1], weight, np.zeros(3), np.array([2]))
    assert loss == 2e4, "a probability that underflows to 0 must not become log 0"
    assert np.array_equal(reference.output_backward(cache).d_bias, [1.0, 0.0, -1.0])


def test_embedding_adds_up_repeated_ids() -> None:
    rng = np.random.default_rng(17)
    table, ids = rng.standard_normal((4, 3)), np.array([[2, 0], [2, 2], [0, 1]])
    d_vectors = rng.standard_normal((3, 2, 3))
    vectors, cache = reference.embedding_forward(ids, table)
    argument = tensor(table)
    expected = torch.nn.functional.embedding(torch.from_numpy(ids), argument)
    expected.backward(torch.from_numpy(d_vectors))
    assert_equal(vectors, expected)
    d_table = reference.embedding_backward(d_vectors, cache)
    assert_equal(d_table, argument.grad)
    assert np.array_equal(d_table[3], np.zeros(3)), "an id that did not occur has no gradient"


@pytest.mark.parametrize("limit", [1e-3, 0.5, 4.0, 100.0])
def test_clipping_is_torch_clipping(limit: float) -> None:
    rng = np.random.default_rng(18)
    gradients = [rng.standard_normal((HIDDEN, INPUT)), 3.0 * rng.standard_normal(HIDDEN)]
    before = [gradient.copy() for gradient in gradients]
    parameters = [torch.nn.Parameter(torch.zeros(gradient.shape, dtype=torch.float64)) for gradient in gradients]

    def load() -> None:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient.copy())

    load()
    torch.nn.utils.clip_grad_value_(parameters, limit)
    for actual, parameter in zip(reference.clip_by_value(gradients, limit), parameters, strict=True):
        assert_equal(actual, parameter.grad)
    load()
    expected_norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
    clipped, norm = reference.clip_by_norm(gradients, limit)
    assert norm == pytest.approx(expected_norm.item(), rel=TORCH_TOLERANCE)
    for actual, parameter in zip(clipped, parameters, strict=True):
        assert_equal(actual, parameter.grad)
    assert all(map(np.array_equal, gradients, before)), "clipping must not write into its argument"


def test_clipping_zero_gradients_divides_by_no_zero() -> None:
    clipped, norm = reference.clip_by_norm([np.zeros(3)], 1.0)
    assert norm == 0.0
    assert np.array_equal(clipped[0], np.zeros(3))
