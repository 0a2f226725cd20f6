"""Every gradient derived by hand against central differences in float64.

`pytest -s tests/reference/test_gradients.py` prints the largest relative error of each.
"""

from functools import partial

import numpy as np
import pytest
from reference_proofs import (
    GRADIENT_TOLERANCE,
    LAYERS,
    SIZES,
    SMALL_SIZES,
    Problem,
    cell_problem,
    dot,
    functions,
    gradient_errors,
    named,
    prove_gradients,
    sequence_problem,
    state,
    weights,
)

from recurra import reference

TIME, BATCH, INPUT, HIDDEN = SMALL_SIZES.values()


def output_problem() -> Problem:
    rng = np.random.default_rng(3)
    h, weight, bias = (
        rng.standard_normal((TIME, BATCH, HIDDEN)),
        rng.standard_normal((6, HIDDEN)),
        rng.standard_normal(6),
    )
    targets = rng.integers(6, size=(TIME, BATCH))

    def gradients():
        cache = reference.output_forward(h, weight, bias, targets)[2]
        d_h, d_weight, d_bias = reference.output_backward(cache, d_loss=1.7)
        return {"h": d_h, "weight": d_weight, "bias": d_bias}

    arguments = {"h": h, "weight": weight, "bias": bias}
    return Problem(arguments, lambda: 1.7 * reference.output_forward(h, weight, bias, targets)[0], gradients)


def embedding_problem() -> Problem:
    rng = np.random.default_rng(4)
    table, ids = (
        rng.standard_normal((3, HIDDEN)),
        rng.integers(3, size=(TIME, BATCH)),
    )  # ten places, three ids: they must repeat
    d_vectors = rng.standard_normal((TIME, BATCH, HIDDEN))

    def gradients():
        return {"table": reference.embedding_backward(d_vectors, reference.embedding_forward(ids, table)[1])}

    return Problem({"table": table}, lambda: dot(reference.embedding_forward(ids, table)[0], d_vectors), gradients)


def bidirectional_problem(name: str, merge: reference.composition.Merge) -> Problem:
    layer, of, rng = LAYERS[name], functions(name), np.random.default_rng(5)
    x = rng.standard_normal((TIME, BATCH, INPUT))
    starts = (state(layer, rng, BATCH, HIDDEN), state(layer, rng, BATCH, HIDDEN))
    ahead, reverse = weights(layer, rng, INPUT, HIDDEN), weights(layer, rng, INPUT, HIDDEN)
    d_h_all = rng.standard_normal((TIME, BATCH, 2 * HIDDEN if merge == "concat" else HIDDEN))
    d_finals = (state(layer, rng, BATCH, HIDDEN), state(layer, rng, BATCH, HIDDEN))

    def run():
        return reference.bidirectional_forward(of.forward, x, starts, ahead, reverse, merge=merge)

    def loss():
        h_all, finals, _ = run()
        return dot(h_all, d_h_all) + dot(finals, d_finals)

    def gradients():
        found = reference.bidirectional_backward(of.backward, d_h_all, d_finals, run()[2])
        leaves = {"x": found.d_x}
        for prefix, d_state, direction in zip(("ahead ", "reverse "), found.d_state, found.directions, strict=True):
            leaves |= named(d_state, direction[2:], prefix)
        return leaves

    arguments = {"x": x, **named(starts[0], ahead, "ahead "), **named(starts[1], reverse, "reverse ")}
    return Problem(arguments, loss, gradients)


def stacked_problem(name: str) -> Problem:
    """Two layers, the second of another width."""
    layer, of, rng = LAYERS[name], functions(name), np.random.default_rng(6)
    x, top = rng.standard_normal((TIME, BATCH, INPUT)), HIDDEN - 1
    starts = [state(layer, rng, BATCH, HIDDEN), state(layer, rng, BATCH, top)]
    ws = [weights(layer, rng, INPUT, HIDDEN), weights(layer, rng, HIDDEN, top)]
    d_h_all = rng.standard_normal((TIME, BATCH, top))
    d_finals = [state(layer, rng, BATCH, HIDDEN), state(layer, rng, BATCH, top)]

    def loss():
        h_all, finals, _ = reference.stacked_forward(of.forward, x, starts, *ws)
        return dot(h_all, d_h_all) + dot(finals, d_finals)

    def gradients():
        cache = reference.stacked_forward(of.forward, x, starts, *ws)[2]
        found = reference.stacked_backward(of.backward, d_h_all, d_finals, cache)
        first, second = found.layers
        return {
            "x": found.d_x,
            **named(found.d_state[0], first[2:], "1 "),
            **named(found.d_state[1], second[2:], "2 "),
        }

    return Problem({"x": x, **named(starts[0], ws[0], "1 "), **named(starts[1], ws[1], "2 ")}, loss, gradients)


TARGET, SOURCE, QUERY, MEMORY, ATTENTION = 3, 5, 2, 6, 7  # and BATCH 4: no two agree
SCORES = {
    "additive": {
        "weight_query": (ATTENTION, QUERY),
        "weight_memory": (ATTENTION, MEMORY),
        "bias": (ATTENTION,),
        "v": (ATTENTION,),
    },
    "concat": {"weight": (ATTENTION, QUERY + MEMORY), "v": (ATTENTION,)},
    "dot": {},
    "general": {"weight": (QUERY, MEMORY)},
}


def score_problem(score: str) -> Problem:
    """Of a random linear function of the scores themselves: a softmax would hide what moves all of them alike."""
    forward, backward = (getattr(reference, f"{score}_score_{way}") for way in ("forward", "backward"))
    rng = np.random.default_rng(7)
    shapes = {
        "queries": (TARGET, BATCH, QUERY),
        "memory": (SOURCE, BATCH, QUERY if score == "dot" else MEMORY),
        **SCORES[score],
    }
    arguments = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    d_scores = rng.standard_normal((TARGET, BATCH, SOURCE))

    def gradients():
        found = backward(d_scores, forward(**arguments)[1])
        return {name.removeprefix("d_"): gradient for name, gradient in found._asdict().items()}

    return Problem(arguments, lambda: dot(forward(**arguments)[0], d_scores), gradients)


def attention_problem() -> Problem:
    """The loss sees the weights twice: through the context, and as they are."""
    rng, lengths = np.random.default_rng(8), np.array([3, 0, SOURCE, 1])
    scores = 2 * rng.standard_normal((TARGET, BATCH, SOURCE))
    memory = rng.standard_normal((SOURCE, BATCH, MEMORY))
    d_context, d_weights = rng.standard_normal((TARGET, BATCH, MEMORY)), rng.standard_normal(scores.shape)

    def loss():
        context, weights, _ = reference.attention_forward(scores, memory, lengths)
        return dot(context, d_context) + dot(weights, d_weights)

    def gradients():
        cache = reference.attention_forward(scores, memory, lengths)[2]
        d_scores, d_memory = reference.attention_backward(d_context, d_weights, cache)
        return {"scores": d_scores, "memory": d_memory}

    return Problem({"scores": scores, "memory": memory}, loss, gradients)


PROBLEMS = {
    **{f"{name}, step": partial(cell_problem, name) for name in LAYERS},
    **{f"{name}, sequence": partial(sequence_problem, name, **SIZES) for name in LAYERS},
    **{f"two directions, {name}, concat": partial(bidirectional_problem, name, "concat") for name in LAYERS},
    **{f"two directions, RNN, {m}": partial(bidirectional_problem, "rnn_tanh", m) for m in ("sum", "average")},
    "two directions, GRU, multiply": partial(bidirectional_problem, "gru", "multiply"),
    **{f"stack, {name}": partial(stacked_problem, name) for name in LAYERS},
    "output": output_problem,
    "embedding": embedding_problem,
    **{f"{score} score": partial(score_problem, score) for score in SCORES},
    "attention": attention_problem,
}


@pytest.fixture(scope="module")
def errors() -> dict[str, dict[str, float]]:
    return {name: dict(gradient_errors(problem())) for name, problem in PROBLEMS.items()}


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradient_by_hand_is_the_central_difference(name: str, errors: dict[str, dict[str, float]]) -> None:
    for argument, error in errors[name].items():
        assert error <= GRADIENT_TOLERANCE, f"d_{argument}: relative error {error:.1e}"


def test_largest_error_of_all(errors: dict[str, dict[str, float]]) -> None:
    print(f"\n{'function':<32} {'gradient':<20} largest relative error")
    for name, by_argument in errors.items():
        for argument, error in by_argument.items():
            print(f"{name:<32} {'d_' + argument:<20} {error:.1e}")
    largest, name, argument = max((e, n, a) for n, found in errors.items() for a, e in found.items())
    print(f"largest of all: {largest:.1e}, {name}, d_{argument}")
    assert largest <= GRADIENT_TOLERANCE


def test_saturated_gates_have_no_wrong_gradient() -> None:
    """Pre-activations of a thousand: gates are exactly 0 or 1, nothing overflows, and the gradient is still right."""
    problem = sequence_problem("lstm", **SIZES)
    problem.arguments["bias_ih"][:] += np.where(
        np.arange(4 * SIZES["hidden_size"]) % 2, 1000.0, 0.0
    )  # every other unit
    prove_gradients(problem)


def test_check_itself_refuses_a_wrong_gradient() -> None:
    problem = sequence_problem("rnn_tanh", **SMALL_SIZES)
    wrong = problem._replace(gradients=lambda: problem.gradients() | {"x": problem.gradients()["x"] * (1 + 1e-6)})
    with pytest.raises(AssertionError, match="d_x"):
        prove_gradients(wrong)
