"""The linear-chain CRF against all paths counted one by one, and against the reference."""

import re
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra.errors import ShapeError, UsageError
from recurra.nn import crf as crf_module
from recurra.nn.crf import Allowed, LinearChainCRF, bio_constraints
from recurra.reference.crf import crf_backward, crf_forward, crf_viterbi

TIME, BATCH, TAGS = 5, 4, 3
LENGTHS = torch.tensor([2, 5, 0, 1])
BIO = bio_constraints(["O", "B-city", "I-city"])
LABELS = ["I-day", "O", "B-city", "B-day", "I-city", "other"]


def build(num_tags: int = TAGS, *, allowed: Allowed | None = None, scale: float = 1.0) -> LinearChainCRF:
    """A layer in double with random scores."""
    crf, generator = LinearChainCRF(num_tags, allowed=allowed).double(), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return crf


def draw(num_tags: int = TAGS, *, scale: float = 1.0, batch: int = BATCH) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    emissions = scale * torch.randn(TIME, batch, num_tags, generator=generator, dtype=torch.double)
    return emissions.requires_grad_()


def right_tags() -> Tensor:
    """Random, yet on paths that BIO allows; -1 in the padding of LENGTHS."""
    tags = torch.tensor([[1, 0, 0, 1], [2, 1, 0, 0], [0, 2, 0, 2], [1, 2, 1, 0], [1, 0, 2, 2]])
    return torch.where(torch.arange(TIME).unsqueeze(1) < LENGTHS, tags, -1)


def gradients(loss: Tensor, crf: LinearChainCRF, emissions: Tensor) -> tuple[Tensor, ...]:
    """Of a sum in which no sequence weighs as much as another."""
    weights = torch.linspace(-0.5, 1.7, len(loss), dtype=loss.dtype)
    return torch.autograd.grad((loss * weights).sum(), [emissions, crf.transitions, crf.start, crf.end])


def all_paths(
    crf: LinearChainCRF, emissions: Tensor, allowed: Allowed | None, num_tags: int = TAGS
) -> dict[tuple[int, ...], float]:
    """Score of every path of one sequence (time, tags) that is allowed, added up one by one."""
    found = {}
    for path in product(range(num_tags), repeat=len(emissions)):
        steps = list(pairwise(path))
        if allowed and not (allowed.start[path[0]] and all(allowed.transitions[step] for step in steps)):
            continue
        score = sum(emissions[t, tag].item() for t, tag in enumerate(path))
        score += sum(crf.transitions[step].item() for step in steps)
        found[path] = score + crf.start[path[0]].item() + crf.end[path[-1]].item()
    return found


@pytest.fixture(params=["products", "log-sums"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to the log-partition: the fast one, and the one for scores that lie far apart."""
    if request.param == "log-sums":
        monkeypatch.setattr(crf_module._ByProducts, "apply", lambda *_: (None, False))
    return request.param


@pytest.mark.parametrize("allowed", [None, BIO], ids=["free", "BIO"])
def test_all_is_as_counted_path_by_path(allowed: Allowed | None, way: str) -> None:
    crf, emissions, tags = build(allowed=allowed), draw(), right_tags()
    losses = crf(emissions, tags, LENGTHS)
    best_tags, bests = crf.decode(emissions, LENGTHS)
    marginals = crf.marginals(emissions, LENGTHS)
    assert ("_ByProducts" in str(losses.grad_fn.next_functions[0])) == (way == "products")
    assert best_tags.dtype == torch.int64
    for row, length in enumerate(LENGTHS.tolist()):
        assert (best_tags[length:, row] == -1).all()
        assert not marginals[length:, row].any()
        if length == 0:
            assert losses[row] == bests[row] == 0
            continue
        paths = all_paths(crf, emissions[:length, row], allowed)
        total = np.log(np.sum(np.exp(list(paths.values()))))
        assert losses[row].item() == pytest.approx(total - paths[tuple(tags[:length, row].tolist())], rel=1e-10)
        assert tuple(best_tags[:length, row].tolist()) == max(paths, key=paths.__getitem__)
        assert bests[row].item() == pytest.approx(max(paths.values()), rel=1e-12)
        for t, tag in product(range(length), range(TAGS)):
            through = sum(np.exp(score - total) for path, score in paths.items() if path[t] == tag)
            assert marginals[t, row, tag].item() == pytest.approx(through, rel=1e-10, abs=1e-300)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("allowed", [None, BIO], ids=["free", "BIO"])
def test_equals_the_reference_with_all_gradients(allowed: Allowed | None, scale: float) -> None:
    """At the largest scale a product of exponentials alone would be infinitely wrong."""
    crf, emissions, tags = build(allowed=allowed, scale=scale), draw(scale=scale), right_tags()
    losses = crf(emissions, tags, LENGTHS)
    found = gradients(losses, crf, emissions)
    best_tags, bests = crf.decode(emissions, LENGTHS)
    expected = [np.zeros(gradient.shape) for gradient in found]
    scores = [score.detach().numpy() for score in (crf.transitions, crf.start, crf.end)]
    if allowed:
        scores[0] = np.where(allowed.transitions.numpy(), scores[0], -1e8)
        scores[1] = np.where(allowed.start.numpy(), scores[1], -1e8)
    for row, weight in enumerate(np.linspace(-0.5, 1.7, BATCH)):
        if not (length := int(LENGTHS[row])):
            continue
        own, own_tags = emissions.detach().numpy()[:length, row : row + 1], tags.numpy()[:length, row : row + 1]
        loss, cache = crf_forward(own, own_tags, *scores)
        assert losses[row].item() == pytest.approx(loss[0], rel=1e-10, abs=1e-10 * scale)
        d_emissions, *d_scores = crf_backward(np.array([weight]), cache)
        expected[0][:length, row] = d_emissions[:, 0]
        for total, gradient in zip(expected[1:], d_scores, strict=True):
            total += gradient
        path, best = crf_viterbi(own, *scores)
        assert best_tags[:length, row].tolist() == path[:, 0].tolist()
        assert bests[row].item() == pytest.approx(best[0], rel=1e-12)
    for ours, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), reference, rtol=0, atol=1e-10)


@pytest.mark.parametrize("lead", [50.0, 200.0], ids=["almost", "wholly"])
def test_what_vanishes_in_a_product_is_not_lost(lead: float) -> None:
    """A tag that leads by far may be followed by nothing but itself, and in the end the other one wins."""
    allowed = Allowed(torch.eye(2, dtype=torch.bool), torch.tensor([True, True]))
    crf, lengths = LinearChainCRF(2, allowed=allowed), torch.tensor([3])
    emissions = torch.tensor([[[lead, 0.0]], [[lead, 0.0]], [[0.0, 2 * lead + 0.5]]])
    loss = crf(emissions, torch.tensor([[0], [0], [0]]), lengths)
    tolerance = 1e-6 * 2 * lead  # what float32 holds of the scores that are subtracted
    assert loss.item() == pytest.approx(np.logaddexp(0.0, 0.5), abs=tolerance)
    assert crf.marginals(emissions, lengths)[0, 0, 1].item() == pytest.approx(1 / (1 + np.exp(-0.5)), abs=tolerance)
    assert crf.decode(emissions, lengths)[0].tolist() == [[1], [1], [1]]


@pytest.mark.parametrize("scale", [1.0, 20.0])
@pytest.mark.parametrize("allowed", [None, BIO], ids=["free", "BIO"])
def test_single_precision(allowed: Allowed | None, scale: float) -> None:
    crf, emissions, tags = build(allowed=allowed, scale=scale), draw(scale=scale), right_tags()
    exact = crf(emissions, tags, LENGTHS)
    exact_gradients = gradients(exact, crf, emissions)
    log_partition = exact.abs().max().item() + TIME * 2 * scale  # the size of what is subtracted
    single = crf.float()
    emissions = emissions.detach().float().requires_grad_()
    losses = single(emissions, tags, LENGTHS)
    torch.testing.assert_close(losses.double(), exact, rtol=0, atol=1e-6 * log_partition)
    for one, other in zip(gradients(losses, single, emissions), exact_gradients, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-6 * max(scale, 4))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("rubbish", [float("nan"), float("inf"), float("-inf"), 1e9])
def test_padding_changes_nothing(rubbish: float) -> None:
    crf, clean, tags = build(allowed=BIO), draw(), right_tags()
    valid = torch.arange(TIME).unsqueeze(1) < LENGTHS
    dirty = torch.where(valid.unsqueeze(2), clean, rubbish).detach().requires_grad_()
    results = []
    for emissions, its_tags in ((clean, tags), (dirty, torch.where(valid, tags, 99))):
        loss = crf(emissions, its_tags, LENGTHS)
        found = [loss, *gradients(loss, crf, emissions), crf.marginals(emissions, LENGTHS)]
        results.append([*found, *crf.decode(emissions, LENGTHS)])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)
    assert not results[1][1][~valid].any()


@pytest.mark.parametrize("lengths", [[5, 5, 5, 5], [1, 0, 5, 3], [4, 3, 2, 1]])
def test_each_sequence_as_if_alone(lengths: list[int]) -> None:
    crf, emissions = build(), draw()
    tags = torch.randint(TAGS, (TIME, BATCH), generator=torch.Generator().manual_seed(6))
    losses = crf(emissions, tags, torch.tensor(lengths))
    best_tags, bests = crf.decode(emissions, torch.tensor(lengths))
    marginals = crf.marginals(emissions, torch.tensor(lengths))
    (slopes,) = torch.autograd.grad(losses.sum(), emissions)
    for row, length in enumerate(lengths):
        own, its_length = emissions[:length, row : row + 1].detach().requires_grad_(), torch.tensor([length])
        loss = crf(own, tags[:length, row : row + 1], its_length)
        torch.testing.assert_close(loss[0], losses[row], rtol=0, atol=1e-13)
        slope = torch.autograd.grad(loss.sum(), own)[0]
        torch.testing.assert_close(slope[:, 0], slopes[:length, row], rtol=0, atol=1e-13)
        torch.testing.assert_close(crf.marginals(own, its_length)[:, 0], marginals[:length, row], rtol=0, atol=1e-13)
        path, best = crf.decode(own, its_length)
        assert torch.equal(path[:, 0], best_tags[:length, row])
        torch.testing.assert_close(best[0], bests[row], rtol=0, atol=1e-13)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_what_is_forbidden_is_never_decoded_and_learns_nothing(scale: float) -> None:
    """Emissions and transitions that want nothing else: an I- label everywhere."""
    batch, num_tags, allowed = 200, len(LABELS), bio_constraints(LABELS)
    crf, emissions = build(num_tags, allowed=allowed), draw(num_tags, scale=scale, batch=batch)
    inside = torch.tensor([label.startswith("I-") for label in LABELS])
    with torch.no_grad():
        emissions[..., inside] += scale
        crf.transitions[:, inside] += 10 * scale
        crf.start[inside] += 10 * scale
    lengths = torch.full((batch,), TIME)
    tags, _ = crf.decode(emissions, lengths)
    assert allowed.start[tags[0]].all()
    assert allowed.transitions[tags[:-1], tags[1:]].all()
    assert inside[tags].any()
    right = torch.full_like(tags, LABELS.index("other"))
    _, d_transitions, d_start, _ = gradients(crf(emissions, right, lengths), crf, emissions)
    assert not d_transitions[~allowed.transitions].any()
    assert not d_start[~allowed.start].any()
    assert d_transitions[allowed.transitions].any()
    assert not crf.marginals(emissions, lengths)[0][:, inside].any()


def test_bio_labels() -> None:
    allowed = bio_constraints(LABELS)
    for (row, before), (column, label) in product(enumerate(LABELS), repeat=2):
        expected = {"I-day": before in ("B-day", "I-day"), "I-city": before in ("B-city", "I-city")}.get(label, True)
        assert allowed.transitions[row, column] == expected, f"{before} to {label}"
    assert allowed.start.tolist() == [False, True, True, True, False, True]
    with pytest.raises(UsageError, match="label 'I-city' without 'B-city' can never begin"):
        bio_constraints(["O", "I-city", "B-day"])


def test_constraints_are_no_weights() -> None:
    assert build(allowed=BIO).state_dict().keys() == {"transitions", "start", "end"}
    assert repr(build(allowed=BIO)) == "LinearChainCRF(3, constrained)"


def test_all_scores_begin_where_tags_do_not_depend_on_each_other() -> None:
    crf, emissions = LinearChainCRF(TAGS).double(), draw()
    marginals = crf.marginals(emissions, torch.full((BATCH,), TIME))
    torch.testing.assert_close(marginals, emissions.detach().softmax(2), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("time", "batch"), [(0, BATCH), (TIME, 0), (0, 0)])
def test_no_steps_or_no_sequences(time: int, batch: int) -> None:
    crf, lengths = build(), torch.zeros(batch, dtype=torch.int64)
    emissions, tags = torch.zeros(time, batch, TAGS, requires_grad=True), torch.zeros(time, batch, dtype=torch.int64)
    loss = crf(emissions, tags, lengths)
    assert torch.equal(loss, torch.zeros(batch))
    loss.sum().backward()
    path, score = crf.decode(emissions, lengths)
    assert path.shape == (time, batch)
    assert score.shape == (batch,)
    assert crf.marginals(emissions, lengths).shape == (time, batch, TAGS)


def test_lengths_of_zero_alone_cost_and_teach_nothing() -> None:
    crf, emissions, lengths = build(), draw(), torch.zeros(BATCH, dtype=torch.int64)
    loss = crf(emissions, right_tags(), lengths)
    assert not loss.any()
    assert not any(gradient.any() for gradient in gradients(loss, crf, emissions))
    assert (crf.decode(emissions, lengths)[0] == -1).all()


def test_precision_is_that_of_the_parameters_under_autocast_too() -> None:
    crf, tags = build().float(), right_tags()
    emissions = draw().detach().bfloat16().requires_grad_()
    exact = emissions.detach().float().requires_grad_()
    expected = crf(exact, tags, LENGTHS)
    slopes = gradients(expected, crf, exact)
    with torch.autocast("cpu", torch.bfloat16):
        found = crf(emissions, tags, LENGTHS)
        found_slopes = gradients(found, crf, emissions)
    assert torch.equal(found, expected)
    assert all(torch.equal(one, other) for one, other in zip(found_slopes[1:], slopes[1:], strict=True))
    assert torch.equal(found_slopes[0], slopes[0].bfloat16())


def test_inference_mode() -> None:
    crf, lengths = build(allowed=BIO), LENGTHS
    expected = crf.marginals(draw(), lengths)
    with torch.inference_mode():
        emissions = draw()
        assert torch.equal(crf.marginals(emissions, lengths.clone()), expected)
        assert not crf(emissions, right_tags(), lengths).requires_grad
    assert all(parameter.grad is None for parameter in crf.parameters())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"emissions": torch.zeros(TIME, BATCH, 4)}, ShapeError, "emissions: expected (time, batch, 3), got (5, 4, 4)"),
        ({"emissions": torch.zeros(TIME, TAGS)}, ShapeError, "emissions: expected (time, batch, 3), got (5, 3)"),
        ({"tags": torch.zeros(BATCH, TIME).long()}, ShapeError, "tags: expected (5, 4), one a step of emissions"),
        ({"tags": torch.zeros(TIME, BATCH)}, UsageError, "tags: expected integers, got torch.float32"),
        ({"tags": torch.full((TIME, BATCH), 3)}, UsageError, "expected 0..2 in every valid step, got 0..3"),
        ({"tags": torch.full((TIME, BATCH), -1)}, UsageError, "expected 0..2 in every valid step, got -1..0"),
        ({"lengths": LENGTHS[1:]}, ShapeError, "lengths: expected shape (4,)"),
        ({"lengths": LENGTHS + 1}, ShapeError, "every value must lie in 0..5"),
        ({"tags": torch.full((TIME, BATCH), 2)}, UsageError, "sequence 0, step 0: tag 2 at the start is not allowed"),
        (
            {"tags": torch.tensor([[1, 0, 0, 0], [2, 0, 0, 2], [0, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])},
            UsageError,
            "sequence 1, step 2: tag 2 after tag 0 is not allowed",
        ),
    ],
)
def test_arguments_that_do_not_fit(change: dict[str, Tensor], error: type, message: str) -> None:
    arguments = {"emissions": draw(), "tags": right_tags(), "lengths": LENGTHS} | change
    with pytest.raises(error, match=re.escape(message)):
        build(allowed=BIO)(**arguments)


@pytest.mark.parametrize(
    ("allowed", "error", "message"),
    [
        (Allowed(torch.ones(3, 4).bool(), BIO.start), ShapeError, "allowed.transitions: expected (3, 3), got (3, 4)"),
        (Allowed(BIO.transitions, torch.ones(4).bool()), ShapeError, "allowed.start: expected (3,), got (4,)"),
        (Allowed(BIO.transitions.float(), BIO.start), UsageError, "allowed.transitions: expected bool"),
        (Allowed(BIO.transitions, ~torch.ones(3).bool()), UsageError, "at least one tag to begin with"),
        (Allowed(torch.ones(3, 3).tril(-1).bool(), BIO.start), UsageError, "a tag that may follow tag 0, got none"),
    ],
)
def test_constraints_that_do_not_fit(allowed: Allowed, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        LinearChainCRF(TAGS, allowed=allowed)


def test_a_crf_has_a_tag() -> None:
    with pytest.raises(UsageError, match="num_tags: expected at least 1, got 0"):
        LinearChainCRF(0)
