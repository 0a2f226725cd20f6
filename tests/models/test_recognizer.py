"""The acoustic model: independence of the batch, streaming, and its loss against all alignments."""

from itertools import product

import pytest
import torch

from recurra.models.recognizer import Recognizer, RecognizerOptions, RecognizerShape
from recurra.nn.layers import LAYERS

SHAPE = RecognizerShape(num_mels=7, num_symbols=4, max_length=19)


def recognizer(**options: object) -> Recognizer:
    torch.manual_seed(3)
    given = {"hidden_size": [6, 5], "time_reduction": 3, "dropout": 0.0, "output_dropout": 0.0, **options}
    model = Recognizer(SHAPE, RecognizerOptions(**given)).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    model.fit_normalization(5 + 3 * torch.randn(50, SHAPE.num_mels).double())
    return model.eval()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    features = 5 + 3 * torch.randn(19, 4, SHAPE.num_mels, generator=torch.Generator().manual_seed(1)).double()
    return features, torch.tensor([19, 3, 11, 12])


@pytest.mark.parametrize("options", [{}, {"bidirectional": False, "cell": "lstm"}, {"cell": "rnn", "merge": "sum"}])
def test_a_recording_does_not_depend_on_its_neighbors(options: dict[str, object]) -> None:
    model, (features, lengths) = recognizer(**options), batch()
    found = model(features, lengths)
    assert found.lengths.tolist() == [6, 1, 3, 4]
    noisy = features.clone()
    noisy[lengths[1] :, 1] = torch.nan
    for column, (frames, steps) in enumerate(zip(lengths.tolist(), found.lengths.tolist(), strict=True)):
        alone = model(features[:frames, column : column + 1], lengths[column : column + 1])
        torch.testing.assert_close(found.log_probabilities[:steps, column], alone.log_probabilities[:steps, 0])
        masked = model(noisy, lengths).log_probabilities
        torch.testing.assert_close(masked[:steps, column], alone.log_probabilities[:steps, 0])


def test_normalized_training_features_have_mean_0_and_standard_deviation_1() -> None:
    model = recognizer()
    features = 2 + 4 * torch.randn(4000, SHAPE.num_mels).double()
    model.fit_normalization(features)
    normalized = (features - model.mean) / model.std
    torch.testing.assert_close(normalized.mean(0), torch.zeros(SHAPE.num_mels).double(), atol=1e-10, rtol=0)
    torch.testing.assert_close(normalized.std(0), torch.ones(SHAPE.num_mels).double())


@pytest.mark.parametrize("pieces", [[3, 6, 9], [9, 9], [18], [3] * 6])
def test_a_stream_in_pieces_gives_the_same(pieces: list[int]) -> None:
    model, (features, _) = recognizer(bidirectional=False, cell="lstm"), batch()
    whole = model(features[:18, :1], torch.tensor([18])).log_probabilities
    slots, outputs = None, []
    for piece in features[:18, :1].split(pieces):
        found, slots = model.forward_chunk(piece, slots)
        outputs.append(found)
    torch.testing.assert_close(torch.cat(outputs), whole)


def test_loss_is_the_sum_over_all_alignments() -> None:
    """Summed over every choice of a symbol or the blank at each step that collapses to the transcript."""
    model, (features, lengths) = recognizer(), batch()
    output = model(features, lengths)
    targets, sizes = torch.tensor([[1, 1, 3], [2, 0, 0], [3, 1, 0], [2, 2, 0]]), torch.tensor([3, 1, 2, 2])
    found = model.loss(output, targets, sizes).detach()
    for column, (steps, size) in enumerate(zip(output.lengths.tolist(), sizes.tolist(), strict=True)):
        wanted, total = targets[column, :size].tolist(), 0.0
        probabilities = output.log_probabilities[:steps, column].detach().exp()
        for path in product(range(SHAPE.num_symbols), repeat=steps):
            merged = [symbol for at, symbol in enumerate(path) if symbol and (not at or symbol != path[at - 1])]
            if merged == wanted:
                total += float(torch.prod(probabilities[range(steps), list(path)]))
        assert float(found[column]) == pytest.approx(-torch.tensor(total).log().item(), rel=1e-6)


@pytest.mark.parametrize("cell", LAYERS)
def test_every_parameter_gets_a_gradient(cell: str) -> None:
    model, (features, lengths) = recognizer(cell=cell).train(), batch()
    sizes = torch.tensor([2, 1, 1, 1])
    model.loss(model(features, lengths), torch.tensor([[1, 2], [3, 0], [2, 0], [1, 0]]), sizes).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_masks_act_in_training_only() -> None:
    model, (features, lengths) = recognizer(time_masks=3, frequency_masks=3), batch()
    quiet = model(features, lengths).log_probabilities
    assert quiet.equal(model(features, lengths).log_probabilities)
    assert not quiet.equal(model.train()(features, lengths).log_probabilities)
    plain = recognizer(time_masks=0, frequency_masks=0)
    assert plain(features, lengths).log_probabilities.equal(plain.train()(features, lengths).log_probabilities)
