"""How states depend on earlier states: products of cell Jacobians against finite differences and the bounds."""

import numpy as np
import pytest
from reference_proofs import DIFFERENCE, GRADIENT_TOLERANCE, LAYERS, SIZES, functions, relative_error, state, weights

from recurra import reference
from recurra.errors import UsageError

TIME, BATCH, INPUT, HIDDEN = SIZES.values()


def flat(state) -> np.ndarray:
    """(h, c) side by side, or h: (B, N)."""
    return np.concatenate(state, axis=1) if isinstance(state, tuple) else state


def unflat(vector: np.ndarray, like):
    return tuple(np.split(vector, 2, axis=1)) if isinstance(like, tuple) else vector


def setting(name: str):
    layer, rng = LAYERS[name], np.random.default_rng(30)
    x, start = rng.standard_normal((TIME, BATCH, INPUT)), state(layer, rng, BATCH, HIDDEN)
    of = functions(name)
    return of, x, start, weights(layer, rng, INPUT, HIDDEN), of.cell_jacobian


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("earlier", "later"), [(0, 1), (0, TIME), (1, 4)])
def test_product_of_cell_jacobians_is_the_central_difference(name: str, earlier: int, later: int) -> None:
    of, x, start, ws, cell_jacobian = setting(name)
    *_, cache = of.forward(x, start, *ws)
    product = reference.over_time([cell_jacobian(step) for step in cache], earlier, later)

    at = start if earlier == 0 else of.forward(x[:earlier], start, *ws)[1]
    vector = flat(at)
    for column in range(vector.shape[1]):
        ends = []
        for sign in (1, -1):
            moved = vector.copy()
            moved[:, column] += sign * DIFFERENCE
            ends.append(flat(of.forward(x[earlier:later], unflat(moved, at), *ws)[1]))
        difference = (ends[0] - ends[1]) / (2 * DIFFERENCE)
        error = np.abs(product[:, :, column] - difference).max() / np.abs(product).max()
        assert error <= GRADIENT_TOLERANCE


@pytest.mark.parametrize("name", LAYERS)
def test_backward_multiplies_by_the_transposed_product(name: str) -> None:
    """What backpropagation carries from the last state to the first is the transposed Jacobian, never built."""
    of, x, start, ws, cell_jacobian = setting(name)
    h_all, final, cache = of.forward(x, start, *ws)
    d_final = flat(state(LAYERS[name], np.random.default_rng(31), BATCH, HIDDEN))
    gradients = of.backward(np.zeros_like(h_all), unflat(d_final, final), cache)
    product = reference.over_time([cell_jacobian(step) for step in cache], 0, TIME)
    assert relative_error(flat(gradients.d_state), np.einsum("bij,bi->bj", product, d_final)) <= 1e-12


def test_lstm_cell_path_is_the_whole_dependence_where_gates_do_not_see_the_state() -> None:
    of, x, start, (weight_ih, weight_hh, *biases), cell_jacobian = setting("lstm")
    *_, cache = of.forward(x, start, weight_ih, np.zeros_like(weight_hh), *biases)
    product = reference.over_time([cell_jacobian(step) for step in cache], 1, TIME)
    path = reference.lstm_cell_path(cache, 1, TIME)
    c_by_c = product[:, HIDDEN:, HIDDEN:]
    assert relative_error(c_by_c, np.stack([np.diag(row) for row in path])) <= 1e-12
    assert np.array_equal(reference.lstm_cell_path(cache, 2, 2), np.ones((BATCH, HIDDEN)))


def test_elman_gradient_stays_below_its_spectral_bound() -> None:
    of, x, start, (weight_ih, weight_hh, *biases), cell_jacobian = setting("rnn_tanh")
    weight_hh = 0.9 * weight_hh / np.linalg.norm(weight_hh, 2)
    *_, cache = of.forward(x, start, weight_ih, weight_hh, *biases)
    for later in range(TIME + 1):
        product = reference.over_time([cell_jacobian(step) for step in cache], 0, later)
        assert (np.linalg.norm(product, 2, axis=(1, 2)) <= 0.9**later + 1e-12).all()


def test_open_forget_gates_keep_what_an_elman_state_loses() -> None:
    """Forty steps of the same small weights: the Elman gradient is gone, the LSTM's cell path still carries it."""
    rng, steps = np.random.default_rng(32), 40
    x, h = rng.standard_normal((steps, BATCH, INPUT)), rng.standard_normal((BATCH, HIDDEN))
    rnn = [0.3 * w for w in weights(LAYERS["rnn_tanh"], rng, INPUT, HIDDEN)]
    lstm = [0.3 * w for w in weights(LAYERS["lstm"], rng, INPUT, HIDDEN)]
    lstm[2][HIDDEN : 2 * HIDDEN] = 6.0  # forget gates near 1
    elman = [reference.rnn_cell_jacobian(step) for step in reference.rnn_forward(x, h, *rnn)[2]]
    cache = reference.lstm_forward(x, (h, h + 1.0), *lstm)[2]
    assert np.abs(reference.over_time(elman, 0, steps)).max() < 1e-10
    assert reference.lstm_cell_path(cache, 0, steps).min() > 0.8


def test_states_must_exist_and_stand_in_order() -> None:
    _, x, start, ws, cell_jacobian = setting("lstm")
    *_, cache = reference.lstm_forward(x, start, *ws)
    jacobians = [cell_jacobian(step) for step in cache]
    for earlier, later in [(2, 1), (-1, 2), (0, TIME + 1)]:
        with pytest.raises(UsageError, match="expected 0 <= earlier <= later <= 5"):
            reference.over_time(jacobians, earlier, later)
        with pytest.raises(UsageError, match="expected 0 <= earlier <= later <= 5"):
            reference.lstm_cell_path(cache, earlier, later)
