"""A recurrent acoustic model: from log-mel features to the probability of each symbol at each step, for CTC."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from recurra.decoding.ctc import BLANK
from recurra.lengths import valid_steps
from recurra.models.stack import CellName, StackOptions, Widths, build_stack, dropout_of, stack_width
from recurra.nn.spectrogram import SpecAugment
from recurra.nn.state import LayerState


class RecognizerOptions(StackOptions):
    """The `[model]` options of a recognizer, with the augmentation of its inputs."""

    cell: CellName = Field("gru", description="kind of recurrent layer")
    hidden_size: Widths = Field([128, 128], description="units of each layer, bottom first")
    time_reduction: int = Field(2, ge=1, description="frames of 10 ms that are stacked into one step")
    time_masks: int = Field(2, ge=0, description="time masks in training (SpecAugment)")
    time_mask_width: int = Field(20, ge=1, description="maximum frames of a time mask")
    frequency_masks: int = Field(2, ge=0, description="frequency masks in training (SpecAugment)")
    frequency_mask_width: int = Field(8, ge=1, description="maximum mel bands of a frequency mask")


class RecognizerShape(NamedTuple):
    """Sizes that depend on the data."""

    num_mels: int
    num_symbols: int  # with the blank
    max_length: int  # frames of the longest training recording


class RecognizerOutput(NamedTuple):
    """Output of a recognizer for a batch."""

    log_probabilities: Tensor  # of the blank and each symbol at each step, nats, (steps, batch, symbols)
    lengths: Tensor  # steps of each recording, integer (batch,)


class Recognizer(nn.Module):
    """Normalization, stacking of frames, recurrent layers, and log-probabilities of the symbols.

    Args:
        shape: sizes of the data.
        options: architecture, dropout and masks.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, shape: RecognizerShape, options: RecognizerOptions) -> None:
        super().__init__()
        self.reduction = options.time_reduction
        self.register_buffer("mean", torch.zeros(shape.num_mels))
        self.register_buffer("std", torch.ones(shape.num_mels))
        widths = {"frequency_mask_width": options.frequency_mask_width, "time_mask_width": options.time_mask_width}
        self.augment = SpecAugment(options.frequency_masks, time_masks=options.time_masks, **widths)
        max_steps = max(shape.max_length // self.reduction, 1)
        self.recurrent = build_stack(options.cell, shape.num_mels * self.reduction, options, max_steps)
        self.dropout = dropout_of(options.output_dropout, options.locked_dropout)
        self.output = nn.Linear(stack_width(options), shape.num_symbols)

    @torch.no_grad()
    def fit_normalization(self, features: Tensor) -> None:
        """Normalize inputs to mean 0 and standard deviation 1 of these training features, (frames, mels)."""
        self.mean.copy_(features.mean(0))
        self.std.copy_(features.std(0).clamp_min(1e-3))

    def num_steps(self, frames: Tensor) -> Tensor:
        """Steps of recordings with this many frames; an incomplete last step is dropped."""
        return frames.div(self.reduction, rounding_mode="floor")

    def forward(self, features: Tensor, lengths: Tensor) -> RecognizerOutput:
        """Predict a batch.

        Args:
            features: log-mel, (frames, batch, mels).
            lengths: frames of each recording, integer (batch,).
        """
        inside = valid_steps(lengths.to(features.device), len(features)).unsqueeze(2)
        normalized = torch.where(inside, (features - self.mean) / self.std, 0)
        if self.training:
            normalized = self.augment(normalized, lengths)
        steps = self.num_steps(lengths)
        output, _ = self.recurrent(self.stack_frames(normalized), lengths=steps)  # (steps, batch, width)
        return RecognizerOutput(self.output(self.dropout(output)).log_softmax(2), steps)

    def stack_frames(self, features: Tensor) -> Tensor:
        """From (frames, batch, mels) to (steps, batch, mels * reduction), with adjacent frames stacked."""
        frames, batch, _ = features.shape
        whole = features[: frames // self.reduction * self.reduction]
        return whole.view(-1, self.reduction, batch, whole.shape[2]).transpose(1, 2).flatten(2)

    def forward_chunk(self, features: Tensor, slots: list[LayerState] | None) -> tuple[Tensor, list[LayerState]]:
        """Process the next frames of a stream; the layers must be unidirectional.

        Args:
            features: log-mel of the next frames, a multiple of time_reduction, (frames, batch, mels).
            slots: state of the recurrent layers before them; None at the beginning.

        Returns:
            Log-probabilities (steps, batch, symbols), and the state after them.
        """
        x = self.stack_frames((features - self.mean) / self.std)
        slots = self.recurrent.first_state(x, False) if slots is None else slots
        (output,), slots = self.recurrent.run_layers(x, slots, None)
        return self.output(output).log_softmax(2), slots

    def loss(self, output: RecognizerOutput, targets: Tensor, lengths: Tensor) -> Tensor:
        """CTC loss of each transcript in nats, (batch,).

        Args:
            output: of `forward`.
            targets: symbols of each transcript, with any padding, (batch, max_symbols).
            lengths: symbols of each transcript, integer (batch,).
        """
        losses: Any = F.ctc_loss(
            output.log_probabilities, targets, output.lengths, lengths, blank=BLANK, reduction="none"
        )
        nats: Tensor = losses
        return nats
