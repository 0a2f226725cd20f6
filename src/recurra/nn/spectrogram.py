"""From sound to what a recognizer reads: log-mel features, and masks over them in training."""

import math

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError, UsageError
from recurra.lengths import check_lengths, valid_steps
from recurra.nn.pooling import mean_over_time


class LogMel(nn.Module):
    """Logarithm of the power in bands of equal width on the mel scale, frame by frame.

    Every frame lies wholly inside its recording: nothing is padded, and the first begins at the first sample. A frame
    is weighted by a periodic Hann window, its power spectrum is that of a Fourier transform of the next power of two,
    and the bands are triangles of height 1 on the scale of HTK, 2595 log10(1 + f / 700), each reaching from the middle
    of the one below to that of the one above. Nothing is learned, and nothing is in the state_dict.

    Args:
        sample_rate: Hz.
        num_mels: bands.
        window: seconds of a frame, rounded to samples.
        hop: seconds from one frame to the next, rounded to samples.
        lowest: Hz where the first band begins; the last ends at half the sample rate.
        floor: the least power of a band, where a sample of 1 is full scale. The default is well below what rounding to
            16 bits makes.

    Raises:
        UsageError: a value out of range, or so many bands that one holds no frequency of the transform.

    Source: Davis & Mermelstein 1980; Young et al. 2006, The HTK Book, section 5.4.
    """

    window: Tensor
    filters: Tensor

    def __init__(
        self,
        sample_rate: int,
        num_mels: int = 40,
        *,
        window: float = 0.025,
        hop: float = 0.010,
        lowest: float = 20.0,
        floor: float = 1e-10,
    ) -> None:
        super().__init__()
        self.window_size, self.hop_size = round(window * sample_rate), round(hop * sample_rate)
        if min(self.window_size, self.hop_size, num_mels) < 1 or floor <= 0 or not 0 <= lowest < sample_rate / 2:
            raise UsageError(
                "LogMel: expected at least one band, a window and a hop of at least one sample, a floor above 0 and "
                f"lowest below half the sample rate, got num_mels={num_mels}, window={window}, hop={hop}, "
                f"floor={floor}, lowest={lowest}, sample_rate={sample_rate}"
            )
        self.sample_rate, self.num_mels, self.floor = sample_rate, num_mels, floor
        self.fft_size = 1 << (self.window_size - 1).bit_length()
        filters = mel_filters(num_mels, self.fft_size, sample_rate, lowest)
        if not filters.any(0).all():
            raise UsageError(
                f"LogMel num_mels: {num_mels} bands are too narrow for {sample_rate / self.fft_size:.1f} Hz between "
                "the frequencies of a frame; give fewer, or a longer window"
            )
        self.register_buffer("window", torch.hann_window(self.window_size), persistent=False)
        self.register_buffer("filters", filters.float(), persistent=False)

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features of a batch.

        Args:
            samples: mono, -1 to 1, (samples, batch).
            lengths: samples of each recording, integer (batch,).

        Returns:
            features in nats, (frames, batch, num_mels), 0 behind the end of a recording; and the frames of each,
            integer (batch,): none where it is shorter than a window.

        Raises:
            ShapeError: samples have not two axes, or lengths do not belong to them.
        """
        if samples.dim() != 2:
            raise ShapeError(f"LogMel samples: expected (samples, batch), got {tuple(samples.shape)}")
        check_lengths(lengths, *samples.shape)
        num_frames = self.frames_in(lengths)
        inside = valid_steps(lengths.to(samples.device), len(samples))
        samples = torch.where(inside, samples.to(self.window.dtype), 0)
        if len(samples) < self.window_size or not samples.shape[1]:
            return samples.new_zeros(0, samples.shape[1], self.num_mels), num_frames
        frames = samples.unfold(0, self.window_size, self.hop_size)  # (frames, batch, window)
        with torch.autocast(samples.device.type, enabled=False):
            power = torch.fft.rfft(frames * self.window, self.fft_size).abs().square()  # (frames, batch, frequencies)
            features = (power @ self.filters).clamp_min(self.floor).log()  # (frames, batch, num_mels)
        valid = valid_steps(num_frames.to(features.device), len(features))
        return torch.where(valid.unsqueeze(2), features, 0), num_frames

    def frames_in(self, lengths: Tensor) -> Tensor:
        """Frames of recordings of so many samples."""
        return ((lengths - self.window_size).div(self.hop_size, rounding_mode="floor") + 1).clamp_min(0)

    def extra_repr(self) -> str:
        """What stands between the brackets of repr()."""
        return f"{self.sample_rate} Hz, {self.num_mels} mels, window={self.window_size}, hop={self.hop_size}"


def mel_filters(num_mels: int, fft_size: int, sample_rate: int, lowest: float) -> Tensor:
    """How much each frequency of a transform counts in each band, (fft_size // 2 + 1, num_mels); see `LogMel`."""
    highest = sample_rate / 2
    ends = math.log1p(lowest / 700), math.log1p(highest / 700)  # in mels, but for a factor
    edges = 700 * torch.linspace(*ends, num_mels + 2, dtype=torch.float64).expm1()  # Hz, (num_mels + 2,)
    frequencies = torch.linspace(0, highest, fft_size // 2 + 1, dtype=torch.float64).unsqueeze(1)  # Hz
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])  # (frequencies, num_mels)
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp_min(0)


class SpecAugment(nn.Module):
    """Masks of frequency and of time over spectrograms, in training only; each sequence and each call draws its own.

    The width of a mask is uniform from 0 to the widest, its place uniform among all where it lies wholly in the
    sequence. What it covers becomes the mean of its band over the sequence. The warping of time is left out: by the
    paper it adds least.

    Args:
        frequency_masks: how many.
        frequency_mask_width: bands that one covers at the most.
        time_masks: how many.
        time_mask_width: frames that one covers at the most.
        time_share: share of a sequence that one covers at the most, 0 to 1.

    Raises:
        UsageError: a value out of range.

    Source: Park et al. 2019, SpecAugment.
    """

    def __init__(
        self,
        frequency_masks: int = 2,
        frequency_mask_width: int = 8,
        time_masks: int = 2,
        time_mask_width: int = 25,
        time_share: float = 0.2,
    ) -> None:
        super().__init__()
        if min(frequency_masks, frequency_mask_width, time_masks, time_mask_width) < 0 or not 0 <= time_share <= 1:
            raise UsageError(
                "SpecAugment: expected numbers and widths of 0 up and a time_share in 0..1, got "
                f"{frequency_masks}, {frequency_mask_width}, {time_masks}, {time_mask_width}, {time_share}"
            )
        self.frequency_masks, self.frequency_mask_width = frequency_masks, frequency_mask_width
        self.time_masks, self.time_mask_width, self.time_share = time_masks, time_mask_width, time_share

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Mask features.

        Args:
            features: (frames, batch, mels).
            lengths: valid frames of each sequence, integer (batch,).

        Returns:
            (frames, batch, mels); in evaluation, and in the padding, as it was.

        Raises:
            ShapeError: features have not three axes, or lengths do not belong to them.
        """
        if features.dim() != 3:
            raise ShapeError(f"SpecAugment features: expected (frames, batch, mels), got {tuple(features.shape)}")
        num_frames, batch, num_mels = features.shape
        check_lengths(lengths, num_frames, batch)
        if not self.training:
            return features
        lengths = lengths.to(features.device)
        widest = (lengths * self.time_share).long().clamp_max(self.time_mask_width)
        bands = torch.full_like(lengths, num_mels)
        in_time = draw_masks(self.time_masks, widest, lengths, num_frames)  # (frames, batch)
        in_frequency = draw_masks(self.frequency_masks, bands.clamp_max(self.frequency_mask_width), bands, num_mels)
        masked = in_time.unsqueeze(2) | in_frequency.t()  # (frames, batch, mels)
        masked &= valid_steps(lengths, num_frames).unsqueeze(2)
        return torch.where(masked, mean_over_time(features, lengths), features)

    def extra_repr(self) -> str:
        """What stands between the brackets of repr()."""
        return (
            f"{self.frequency_masks} of {self.frequency_mask_width} mels, "
            f"{self.time_masks} of {self.time_mask_width} frames, "
            f"time_share={self.time_share}"
        )


def draw_masks(num_masks: int, widest: Tensor, extents: Tensor, size: int) -> Tensor:
    """What some random stretches of each sequence cover, True (size, batch).

    Args:
        num_masks: stretches.
        widest: of each sequence, (batch,), none above its extent.
        extents: of each sequence, (batch,).
        size: of all.
    """
    numbers = torch.rand(2, num_masks, len(extents), device=extents.device)
    widths = (numbers[0] * (widest + 1)).long()  # (masks, batch)
    starts = (numbers[1] * (extents - widths + 1)).long()
    places = torch.arange(size, device=extents.device).view(-1, 1, 1)
    return ((places >= starts) & (places < starts + widths)).any(1)
