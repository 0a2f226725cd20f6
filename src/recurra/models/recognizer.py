"""A recurrent acoustic model: from log-mel features to the probability of each symbol, frame by frame."""

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
    """The shape of the network, and what is done to its input in training."""

    cell: CellName = Field("gru", description="kind of recurrent layer")
    hidden_size: Widths = Field([128, 128], description="units of each layer, bottom first")
    time_reduction: int = Field(2, ge=1, description="frames, a hundredth of a second each, that make one step")
    time_masks: int = Field(2, ge=0, description="stretches of time that are masked in training (SpecAugment)")
    time_mask_width: int = Field(20, ge=1, description="frames that such a stretch has at the most")
    frequency_masks: int = Field(2, ge=0, description="bands of frequencies that are masked in training (SpecAugment)")
    frequency_mask_width: int = Field(8, ge=1, description="mels that such a band has at the most")


class RecognizerShape(NamedTuple):
    """What follows from the data."""

    num_mels: int
    num_symbols: int  # the blank among them
    longest: int  # frames of the longest training recording


class Heard(NamedTuple):
    """What a recognizer makes of a batch."""

    log_probabilities: Tensor  # of the blank and each symbol at each step, nats, (steps, batch, symbols)
    lengths: Tensor  # steps of each recording, integer (batch,)


class Recognizer(nn.Module):
    """Normalized features, some frames a step, recurrent layers, a score for each symbol.

    Args:
        shape: what it reads and writes.
        options: shape and masks.

    Raises:
        UsageError: an initialization that does not fit the cell.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: RecognizerShape, options: RecognizerOptions) -> None:
        super().__init__()
        self.reduction = options.time_reduction
        self.register_buffer("mean", torch.zeros(shape.num_mels))
        self.register_buffer("deviation", torch.ones(shape.num_mels))
        widths = {"frequency_mask_width": options.frequency_mask_width, "time_mask_width": options.time_mask_width}
        self.augment = SpecAugment(options.frequency_masks, time_masks=options.time_masks, **widths)
        longest = max(shape.longest // self.reduction, 1)
        self.recurrent = build_stack(options.cell, shape.num_mels * self.reduction, options, longest)
        self.dropout = dropout_of(options.output_dropout, options.locked_dropout)
        self.output = nn.Linear(stack_width(options), shape.num_symbols)

    @torch.no_grad()
    def normalize(self, features: Tensor) -> None:
        """Bring features like these, (frames, mels), to mean 0 and deviation 1 from now on."""
        self.mean.copy_(features.mean(0))
        self.deviation.copy_(features.std(0).clamp_min(1e-3))

    def steps_in(self, frames: Tensor) -> Tensor:
        """Steps of recordings of so many frames: what is left of a last step is not heard."""
        return frames.div(self.reduction, rounding_mode="floor")

    def forward(self, features: Tensor, lengths: Tensor) -> Heard:
        """Hear a batch.

        Args:
            features: log-mel, (frames, batch, mels).
            lengths: frames of each recording, integer (batch,).
        """
        inside = valid_steps(lengths.to(features.device), len(features)).unsqueeze(2)
        normalized = torch.where(inside, (features - self.mean) / self.deviation, 0)
        if self.training:
            normalized = self.augment(normalized, lengths)
        steps = self.steps_in(lengths)
        output, _ = self.recurrent(self.grouped(normalized), lengths=steps)  # (steps, batch, width)
        return Heard(self.output(self.dropout(output)).log_softmax(2), steps)

    def grouped(self, features: Tensor) -> Tensor:
        """Some frames side by side as one step, (steps, batch, mels * reduction)."""
        frames, batch, _ = features.shape
        whole = features[: frames // self.reduction * self.reduction]
        return whole.view(-1, self.reduction, batch, whole.shape[2]).transpose(1, 2).flatten(2)

    def hear_on(self, features: Tensor, slots: list[LayerState] | None) -> tuple[Tensor, list[LayerState]]:
        """Go on with a recording of which more has come; the layers must read in one direction.

        Args:
            features: log-mel of further frames, so many that they make whole steps, (frames, batch, mels).
            slots: state behind what came before; None at the beginning.

        Returns:
            log-probabilities (steps, batch, symbols), and the state behind them.
        """
        x = self.grouped((features - self.mean) / self.deviation)
        slots = self.recurrent.first_state(x, False) if slots is None else slots
        (output,), slots = self.recurrent.run_layers(x, slots, None)
        return self.output(output).log_softmax(2), slots

    def nats(self, heard: Heard, targets: Tensor, lengths: Tensor) -> Tensor:
        """Negative log-probability of each transcript: of all its alignments together, (batch,).

        Args:
            heard: what forward gives.
            targets: symbols of each transcript, in the padding anything, (batch, longest).
            lengths: symbols of each, integer (batch,).
        """
        log_probabilities, steps = heard
        found: Any = F.ctc_loss(log_probabilities, targets, steps, lengths, blank=BLANK, reduction="none")
        nats: Tensor = found
        return nats
