"""Log-mel features against scipy, librosa and tones that are known; masks against where they may lie."""

import math

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import stft
from torch import Tensor

from recurra.errors import ShapeError, UsageError
from recurra.nn.spectrogram import LogMel, SpecAugment

RATE = 8000
LENGTHS = torch.tensor([1234, 700, 199, 0, 280, 200])  # samples; a window has 200, and 80 more make another frame
FRAMES = [13, 7, 0, 0, 2, 1]


def sound(num_samples: int = 1234, batch: int = len(LENGTHS)) -> Tensor:
    """Noise and a tone, as loud as speech."""
    generator, time = torch.Generator().manual_seed(1), torch.arange(num_samples).double().unsqueeze(1)
    pitches = torch.linspace(150, 3500, batch, dtype=torch.double)
    noise = torch.randn(num_samples, batch, generator=generator, dtype=torch.double)
    return 0.1 * noise + 0.2 * (2 * math.pi * pitches * time / RATE).sin()


def mel_weights(rate: int, fft_size: int, num_mels: int, lowest: float) -> NDArray[np.float64]:
    """The triangles by the formula of the HTK book, band by band and frequency by frequency, (mels, frequencies)."""

    def mel(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    def hertz(mel: float) -> float:
        return 700 * (10 ** (mel / 2595) - 1)

    step = (mel(rate / 2) - mel(lowest)) / (num_mels + 1)
    weights = np.zeros((num_mels, fft_size // 2 + 1))
    for band in range(num_mels):
        left, middle, right = (hertz(mel(lowest) + (band + at) * step) for at in range(3))
        for bin in range(fft_size // 2 + 1):
            at = bin * rate / fft_size
            if left <= at <= middle:
                weights[band, bin] = (at - left) / (middle - left)
            elif middle < at <= right:
                weights[band, bin] = (right - at) / (right - middle)
    return weights


@pytest.mark.parametrize(("rate", "window", "hop", "fft"), [(8000, 200, 80, 256), (22050, 551, 220, 1024)])
def test_equals_scipy_with_the_published_filters(rate: int, window: int, hop: int, fft: int) -> None:
    samples = sound(3 * window + 77, batch=3)
    lengths = torch.tensor([3 * window + 77, 2 * window, window + hop - 1])
    features, frames = LogMel(rate, 23, lowest=30).double()(samples, lengths)
    weights = mel_weights(rate, fft, 23, 30)
    for row, length in enumerate(lengths.tolist()):
        _, _, spectrum = stft(
            samples[:length, row].numpy(), rate, "hann", window, window - hop, fft, boundary=None, padded=False
        )
        power = np.abs(spectrum * window / 2) ** 2  # scipy divides by the sum of the window
        expected = np.log(weights @ power).T
        assert frames[row] == len(expected)
        # The window and the filters are kept in single precision.
        np.testing.assert_allclose(features[: len(expected), row].numpy(), expected, rtol=0, atol=2e-6)
        assert not features[len(expected) :, row].any()


@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_equals_librosa(rate: int) -> None:
    model, samples = LogMel(rate, 30), sound(5000, batch=1).float()
    features, _ = model(samples, torch.tensor([5000]))
    missing = model.fft_size - model.window_size  # librosa puts a window into the middle of its transform
    power = librosa.feature.melspectrogram(
        y=np.pad(samples[:, 0].numpy(), (missing // 2, missing)), sr=rate, n_fft=model.fft_size, center=False,
        hop_length=model.hop_size, win_length=model.window_size, n_mels=30, fmin=20, htk=True, norm=None,
    )  # fmt: skip
    expected = np.log(power).T[: len(features)]
    np.testing.assert_allclose(features[:, 0].numpy(), expected, rtol=0, atol=2e-5)  # float32 there and here


@pytest.mark.parametrize("pitch", [312.5, 1000.0, 2375.0])
def test_a_tone_is_loudest_in_its_own_band(pitch: float) -> None:
    """Also its power: of amplitude 0.5 it is (0.5 / 2 * 100)^2 at the tone itself, where the window sums up to 100."""
    time = torch.arange(900).unsqueeze(1)
    features, _ = LogMel(RATE)(0.5 * (2 * math.pi * pitch * time / RATE).sin(), torch.tensor([900]))
    weights = mel_weights(RATE, 256, 40, 20)
    band = int(weights[:, round(pitch / RATE * 256)].argmax())
    assert features[:, 0].argmax(1).tolist() == [band] * len(features)
    largest = math.log(weights[band, round(pitch / RATE * 256)] * 25**2)
    assert largest < features[:, 0, band].min() < largest + math.log(3)  # the tones beside it are in the band too


def test_frames_lie_inside_their_recording() -> None:
    model = LogMel(RATE)
    features, frames = model(sound(), LENGTHS)
    assert frames.tolist() == model.frames_in(LENGTHS).tolist() == FRAMES
    assert features.shape == (13, len(LENGTHS), 40)
    changed = sound().float()
    changed[680:, 1] += 1  # behind the seventh frame, and inside the recording
    others, _ = model(changed, LENGTHS)
    torch.testing.assert_close(others, features)
    changed[679, 1] += 1
    assert not torch.equal(model(changed, LENGTHS)[0][6, 1], features[6, 1])


@pytest.mark.parametrize("rubbish", [math.nan, math.inf, 1e30])
def test_padding_and_neighbors_change_nothing(rubbish: float) -> None:
    model, clean = LogMel(RATE).double(), sound()
    inside = torch.arange(len(clean)).unsqueeze(1) < LENGTHS
    dirty = torch.where(inside, clean, rubbish).requires_grad_()
    features, frames = model(dirty, LENGTHS)
    weights = torch.linspace(-1, 2, features.numel(), dtype=torch.double).view_as(features)
    (slopes,) = torch.autograd.grad((features * weights).sum(), dirty)
    assert slopes.isfinite().all()
    assert not slopes[~inside].any()
    for row, (length, size) in enumerate(zip(LENGTHS.tolist(), frames.tolist(), strict=True)):
        alone, own_size = model(clean[:length, row : row + 1], LENGTHS[row : row + 1])
        assert own_size.tolist() == [size] == [len(alone)]
        torch.testing.assert_close(features[:size, row], alone[:, 0], rtol=0, atol=1e-12)
        assert not features[size:, row].any()


def test_gradient_is_the_central_difference() -> None:
    model = LogMel(RATE, 5).double()
    torch.autograd.gradcheck(
        lambda x: model(x, torch.tensor([361, 300]))[0], sound(361, 2).requires_grad_(), nondet_tol=0
    )


def test_silence_is_the_floor() -> None:
    features, _ = LogMel(RATE, floor=1e-7)(torch.zeros(500, 2), torch.tensor([500, 300]))
    torch.testing.assert_close(features[:2], torch.full((2, 2, 40), math.log(1e-7)))
    rounding = (torch.rand(500, 1, generator=torch.Generator().manual_seed(2)) - 0.5) / 2**15  # of 16 bits
    assert (LogMel(RATE)(rounding, torch.tensor([500]))[0] > math.log(1e-10)).all()


def test_nothing_is_learned_and_precision_is_that_of_the_module() -> None:
    model = LogMel(RATE)
    assert not model.state_dict()
    assert repr(model) == "LogMel(8000 Hz, 40 mels, window=200, hop=80)"
    samples = sound().float()
    expected, _ = model(samples, LENGTHS)
    assert expected.dtype == model(sound(), LENGTHS)[0].dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model(samples, LENGTHS)[0], expected)


@pytest.mark.parametrize(("num_samples", "batch"), [(0, 2), (199, 2), (1234, 0)])
def test_no_frames_or_no_recordings(num_samples: int, batch: int) -> None:
    features, frames = LogMel(RATE)(torch.zeros(num_samples, batch), torch.full((batch,), num_samples))
    assert features.shape == (0, batch, 40)
    assert frames.tolist() == [0] * batch


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_mels": 0}, "expected at least one band"),
        ({"window": 1e-5}, "a window and a hop of at least one sample"),
        ({"hop": -0.01}, "a window and a hop of at least one sample"),
        ({"floor": 0.0}, "a floor above 0"),
        ({"lowest": 4000.0}, "lowest below half the sample rate"),
        ({"num_mels": 100}, r"100 bands are too narrow for 31\.2 Hz between the frequencies of a frame; give fewer"),
    ],
)
def test_impossible_features(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LogMel(RATE, **arguments)


def test_wrong_shapes() -> None:
    with pytest.raises(ShapeError, match=r"LogMel samples: expected \(samples, batch\), got \(3,\)"):
        LogMel(RATE)(torch.zeros(3), torch.tensor([3]))
    with pytest.raises(ShapeError, match="lengths: every value"):
        LogMel(RATE)(torch.zeros(300, 1), torch.tensor([301]))
    with pytest.raises(ShapeError, match=r"SpecAugment features: expected \(frames, batch, mels\), got \(3, 1\)"):
        SpecAugment()(torch.zeros(3, 1), torch.tensor([3]))


# --- masks -------------------------------------------------------------------------------------------------------


def masked(model: SpecAugment, lengths: Tensor, num_frames: int = 30, num_mels: int = 11) -> tuple[Tensor, Tensor]:
    """Random features, and where the model changed them, (frames, batch, mels)."""
    features = torch.randn(num_frames, len(lengths), num_mels, generator=torch.Generator().manual_seed(3)) + 4
    found = model(features, lengths)
    changed = found != features
    means = [features[:length, row].mean(0) for row, length in enumerate(lengths.tolist())]
    expected = torch.where(changed, torch.stack(means).nan_to_num(), features)
    torch.testing.assert_close(found, expected)  # what is changed is the mean of its band
    return features, changed


def test_masks_of_time_are_uniform_in_width_and_place() -> None:
    torch.manual_seed(0)
    num, length, widest = 20_000, 9, 4
    _, changed = masked(SpecAugment(0, 0, 1, widest, 1.0), torch.full((num,), length), 12, 2)
    covered = changed.any(2)  # (frames, sequences)
    assert torch.equal(covered, changed.all(2))
    widths = covered.sum(0)
    counts = widths.bincount(minlength=widest + 2) / num
    np.testing.assert_allclose(counts.numpy(), [0.2] * 5 + [0], atol=4 * math.sqrt(0.16 / num))
    begins = covered.int().diff(dim=0, prepend=torch.zeros(1, num, dtype=torch.int32)) == 1
    assert torch.equal(begins.sum(0), (widths > 0).long())  # in one piece
    starts = begins.int().argmax(0)
    for width in range(1, widest + 1):
        places = starts[widths == width].bincount(minlength=length)
        share, total = 1 / (length - width + 1), int(places.sum())
        expected = [share] * (length - width + 1) + [0] * (width - 1)
        np.testing.assert_allclose(places.numpy() / total, expected, atol=5 * math.sqrt(share / total))


def test_masks_of_frequency_cover_all_of_a_sequence_and_nothing_behind_it() -> None:
    torch.manual_seed(1)
    lengths = torch.tensor([30, 7, 0, 1] * 500)
    _, changed = masked(SpecAugment(1, 5, 0, 0), lengths)
    widths = []
    for row, length in enumerate(lengths.tolist()):
        own = changed[:, row]
        assert not own[length:].any()
        if length > 1:  # the mean of a single frame is itself
            assert torch.equal(own[:length].any(0), own[:length].all(0))
            bands = own[0].nonzero().flatten().tolist()
            assert bands == list(range(bands[0], bands[0] + len(bands))) if bands else True
            widths.append(len(bands))
    np.testing.assert_allclose(np.bincount(widths, minlength=7) / 1000, [1 / 6] * 6 + [0], atol=0.06)
    assert changed[0].any(0).all()  # every band comes to be masked


def test_masks_of_time_are_no_longer_than_their_share() -> None:
    torch.manual_seed(2)
    lengths = torch.tensor([30, 10, 4, 0] * 500)
    _, changed = masked(SpecAugment(0, 0, 1, 5, 0.25), lengths)
    longest = changed.any(2).sum(0).view(500, 4).amax(0)
    assert longest.tolist() == [5, 2, 1, 0]  # 5 at the most, and a quarter of 30, 10, 4, 0
    _, changed = masked(SpecAugment(0, 0, 3, 5, 0.25), lengths)
    assert changed.any(2).sum(0).view(500, 4).amax(0)[0] > 10  # three of them


def test_masks_are_for_training_only_and_let_gradients_through_where_they_are_not() -> None:
    torch.manual_seed(3)
    model, lengths = SpecAugment(), torch.tensor([30, 12])
    features = torch.randn(30, 2, 40).requires_grad_()
    found = model(features, lengths)
    changed = found.detach() != features.detach()
    assert changed.any()
    (slopes,) = torch.autograd.grad(found[~changed].sum(), features)
    assert torch.equal(slopes, (~changed).float())
    assert model.eval()(features, lengths) is features
    assert repr(model) == "SpecAugment(2 of 8 mels, 2 of 25 frames, time_share=0.2)"


@pytest.mark.parametrize("arguments", [{"frequency_masks": -1}, {"time_mask_width": -1}, {"time_share": 1.5}])
def test_impossible_masks(arguments: dict[str, float]) -> None:
    with pytest.raises(
        UsageError, match=r"SpecAugment: expected numbers and widths of 0 up and a time_share in 0\.\.1"
    ):
        SpecAugment(**arguments)
