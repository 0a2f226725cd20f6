"""Planted mistakes: each turns one of the two proofs of reference_proofs.py red, so the tests would catch it.

The source of a cell is loaded with some text replaced; the proof that the ordinary tests run on the package must then
fail. The ordinary tests that would go red:

    G  test_gradients.py::test_gradient_by_hand_is_the_central_difference[..., sequence]
    T  test_reference_torch.py::test_layer_is_torch_nn

    mistake                                       caught by
    gate order reversed, forward or backward      G, T
    gate order reversed in both at once           T alone: the gradient is right, the layer is not
    step 0 dropped from a weight's gradient       G, T
    h and c swapped (in, out, either gradient)    G, T
    d_x zeroed                                    G, T
    one bias forgotten, forward or backward       G, T
    carried gradient lost between steps           G, T
    z and 1 - z exchanged in the update           G, T

torch has no GRU that resets before the product and no MGU: there G catches, and
test_reset_before_is_the_equation_of_the_paper and test_mgu_is_the_equation_of_the_paper.
"""

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from reference_proofs import LAYERS, SMALL_SIZES, prove_against_torch, prove_gradients, sequence_problem


class Mutation(NamedTuple):
    """A mistake: what is planted in which layer's source; gradients alone may stay right."""

    layer: str
    mistake: str
    replacements: dict[str, str]
    gradients_go_wrong: bool = True


def step_0_dropped(layer: str) -> list[Mutation]:
    """The steps run from last to first, so the first step is the last of the list."""
    return [
        Mutation(
            layer,
            f"step 0 dropped from {name}",
            {f"[step.{name} for step in steps]": f"[step.{name} for step in steps[:-1]]"},
        )
        for name in ("d_weight_ih", "d_weight_hh", "d_bias_ih", "d_bias_hh")
    ]


def zeroed(layer: str, d_a_ih: str, d_a_hh: str) -> list[Mutation]:
    return [
        Mutation(layer, "d_x zeroed", {f"d_x={d_a_ih} @ weight_ih": "d_x=np.zeros_like(x)"}),
        Mutation(layer, "bias_ih forgotten in backward", {f"d_bias_ih={d_a_ih}.sum": f"d_bias_ih=0.0 * {d_a_ih}.sum"}),
        Mutation(layer, "bias_hh forgotten in backward", {f"d_bias_hh={d_a_hh}.sum": f"d_bias_hh=0.0 * {d_a_hh}.sum"}),
    ]


SWAPPED = "d_state=(d_c_total * f, d_a @ weight_hh)"
LSTM_FORWARD = {"a_i, a_f, a_g, a_o = np.split": "a_o, a_g, a_f, a_i = np.split"}
LSTM_BACKWARD = {"[d_a_i, d_a_f, d_a_g, d_a_o]": "[d_a_o, d_a_g, d_a_f, d_a_i]"}
SPLIT = " = np.split(weight_hh, 3)  # each (H, H)\n"
GRU_FORWARD = {
    "u_r, u_z, u_n = np.split": "u_n, u_z, u_r = np.split",
    f"w_r, w_z, w_n{SPLIT}    b_r": f"w_n, w_z, w_r{SPLIT}    b_r",
    "b_r, b_z, b_n = np.split": "b_n, b_z, b_r = np.split",
}
GRU_BACKWARD = {
    f"w_r, w_z, w_n{SPLIT}    d_a_n": f"w_n, w_z, w_r{SPLIT}    d_a_n",
    "[d_a_r, d_a_z, d_a_n]": "[d_a_n, d_a_z, d_a_r]",
    "[d_a_r, d_a_z, d_v_n]": "[d_v_n, d_a_z, d_a_r]",
    "[d_a_r.T @ h, d_a_z.T @ h, d_v_n.T @ h_to_n]": "[d_v_n.T @ h_to_n, d_a_z.T @ h, d_a_r.T @ h]",
}
Z_EXCHANGED = {"h_next = (1.0 - z) * n + z * h": "h_next = z * n + (1.0 - z) * h"}

MUTATIONS = [
    *step_0_dropped("rnn_tanh"),
    *zeroed("rnn_tanh", "d_a", "d_a"),
    Mutation("rnn_tanh", "bias_ih forgotten in forward", {" + bias_ih": ""}),
    Mutation("rnn_tanh", "bias_hh forgotten in forward", {" + bias_hh": ""}),
    Mutation("rnn_tanh", "carried gradient lost", {"(d_h_all[t] + d_h, cache[t])": "(d_h_all[t], cache[t])"}),
    *step_0_dropped("lstm"),
    *zeroed("lstm", "d_a", "d_a"),
    Mutation("lstm", "bias_ih forgotten in forward", {" + bias_ih": ""}),
    Mutation("lstm", "bias_hh forgotten in forward", {" + bias_hh": ""}),
    Mutation("lstm", "carried gradient lost", {"(d_h_all[t] + d_h, d_c)": "(d_h_all[t], d_c)"}),
    Mutation("lstm", "gates reversed in forward", LSTM_FORWARD),
    Mutation("lstm", "gates reversed in backward", LSTM_BACKWARD),
    Mutation("lstm", "gates reversed in both", LSTM_FORWARD | LSTM_BACKWARD, gradients_go_wrong=False),
    Mutation("lstm", "h and c swapped going in", {"    h, c = state\n": "    c, h = state\n"}),
    Mutation("lstm", "h and c swapped coming out", {"return (h_next, c_next), L": "return (c_next, h_next), L"}),
    Mutation("lstm", "d_h and d_c swapped going in", {"d_h_next, d_c_next = d_s": "d_c_next, d_h_next = d_s"}),
    Mutation("lstm", "d_h and d_c swapped in the step", {"d_state=(d_a @ weight_hh, d_c_total * f)": SWAPPED}),
    Mutation("lstm", "d_h and d_c swapped at the end", {"d_state=(d_h, d_c)": "d_state=(d_c, d_h)"}),
    *step_0_dropped("gru"),
    *step_0_dropped("gru_reset_before"),
    *zeroed("gru", "d_u", "d_v"),
    *zeroed("gru_reset_before", "d_u", "d_v"),
    Mutation("gru", "bias_ih forgotten in forward", {" + bias_ih": ""}),
    Mutation("gru", "bias of r forgotten in forward", {" + b_r)": ")"}),
    Mutation("gru", "bias of z forgotten in forward", {" + b_z)": ")"}),
    Mutation("gru", "bias of n forgotten in forward", {" = h @ w_n.T + b_n": " = h @ w_n.T"}),
    Mutation("gru_reset_before", "bias of n forgotten in forward", {"(r * h) @ w_n.T + b_n": "(r * h) @ w_n.T"}),
    Mutation("gru", "bias_hh takes the gradient of bias_ih", {"d_bias_hh=d_v.sum": "d_bias_hh=d_u.sum"}),
    Mutation("gru", "carried gradient lost", {"(d_h_all[t] + d_h, cache[t])": "(d_h_all[t], cache[t])"}),
    Mutation("gru", "gates reversed in forward", GRU_FORWARD),
    Mutation("gru", "gates reversed in backward", GRU_BACKWARD),
    Mutation("gru", "gates reversed in both", GRU_FORWARD | GRU_BACKWARD, gradients_go_wrong=False),
    Mutation("gru_reset_before", "gates reversed in backward", GRU_BACKWARD),
    Mutation("gru", "z and 1 - z exchanged", Z_EXCHANGED),
    Mutation("gru_reset_before", "z and 1 - z exchanged", Z_EXCHANGED),
    *step_0_dropped("mgu"),
    *zeroed("mgu", "d_a", "d_a"),
    Mutation("mgu", "bias_ih forgotten in forward", {" + bias_ih": ""}),
    Mutation("mgu", "bias of f forgotten in forward", {" + b_f)": ")"}),
    Mutation("mgu", "bias of n forgotten in forward", {" + b_n)": ")"}),
    Mutation("mgu", "carried gradient lost", {"(d_h_all[t] + d_h, cache[t])": "(d_h_all[t], cache[t])"}),
    Mutation("mgu", "gates reversed in backward", {"[d_a_f, d_a_n]": "[d_a_n, d_a_f]"}),
    Mutation("mgu", "f and 1 - f exchanged", {"h_next = (1.0 - f) * h + f * n": "h_next = f * h + (1.0 - f) * n"}),
]  # fmt: skip


def mutated(module: str, replacements: dict[str, str]) -> ModuleType:
    """A fresh copy of a module of the reference with some of its text replaced; each text must occur exactly once."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text()
    for old, new in replacements.items():
        assert len(re.findall(re.escape(old), source)) == 1, f"{module}.py: {old!r} must occur exactly once"
        source = source.replace(old, new)
    copy = ModuleType(f"mutated_{module}")
    exec(compile(source, spec.origin, "exec"), copy.__dict__)
    return copy


def fails(proof: Callable[[], None]) -> bool:
    """Whether the proof finds a wrong number; any other error would be a broken mutation, so it passes through."""
    try:
        proof()
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("name", LAYERS)
def test_an_unchanged_copy_passes(name: str) -> None:
    copy = mutated(LAYERS[name].module, {})
    prove_gradients(sequence_problem(name, copy, **SMALL_SIZES))
    if LAYERS[name].twin:
        prove_against_torch(name, copy)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.layer}, {mutation.mistake}")
def test_a_planted_mistake_is_caught(mutation: Mutation) -> None:
    copy = mutated(LAYERS[mutation.layer].module, mutation.replacements)
    found = fails(lambda: prove_gradients(sequence_problem(mutation.layer, copy, **SMALL_SIZES)))
    assert found == mutation.gradients_go_wrong
    if LAYERS[mutation.layer].twin:
        assert fails(lambda: prove_against_torch(mutation.layer, copy))
