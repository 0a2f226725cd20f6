"""The stack that RNN, LSTM and GRU share: layers, directions, merging, dropout, state, and every form of input."""

import math
import warnings
from collections.abc import Sequence
from typing import ClassVar, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from recurra import ops
from recurra.errors import ShapeError, UsageError
from recurra.lengths import check_lengths
from recurra.nn.dropout import lock_dropout
from recurra.nn.sequences import pack_like
from recurra.nn.state import Part, Slot, StateLayout
from recurra.nn.streaming import Stream
from recurra.ops import Weights

Merge: TypeAlias = Literal["concat", "sum", "average", "multiply", "none"]
InitialState: TypeAlias = Literal["zero", "random", "learned"]
Device: TypeAlias = torch.device | str | int | None
Batch: TypeAlias = Tensor | PackedSequence
Output: TypeAlias = Batch | tuple[Batch, Batch]

RANDOM_STATE_DEVIATION = 0.1


class Recurrent(nn.Module):
    """Stacked recurrent layers in one or two directions; a cell adds its equations in `run_layer`.

    Parameters have torch.nn's names, shapes, gate order and initial distribution, drawn in torch's order.
    """

    gates: ClassVar[int]
    parts: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        device: Device,
        dtype: torch.dtype | None,
        merge: Merge,
        initial_state: InitialState,
        locked_dropout: bool,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size: int | tuple[int, ...]
        self.hidden_size = hidden_size if isinstance(hidden_size, int) else tuple(hidden_size)
        self.widths = (hidden_size,) * num_layers if isinstance(hidden_size, int) else tuple(hidden_size)
        self.num_layers = len(self.widths)
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.merge = merge
        self.initial_state = initial_state
        self.locked_dropout = locked_dropout
        self._check_options(num_layers)
        outer = (proj_size,) * self.num_layers if proj_size else self.widths
        widths = dict(zip(self.parts, (outer, self.widths), strict=False))
        self.layout = StateLayout(type(self).__name__, widths, 1 + bidirectional, not isinstance(hidden_size, int))
        directions = ("", "_reverse")[: 1 + bidirectional]
        # What the names of the parameters of every layer and direction end in.
        self._suffixes = [f"_l{layer}{direction}" for layer in range(self.num_layers) for direction in directions]
        self._add_parameters(device, dtype)
        self.reset_parameters()

    def run_layer(
        self, x: Tensor, state: Slot, weights: Weights, lengths: Tensor | None, reverse: bool
    ) -> tuple[Tensor, Slot]:
        """Run one layer in one direction, from x (time, batch, input) to (time, batch, width) and the final state."""
        raise NotImplementedError

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """Weights of each layer and direction, without those that are absent."""
        return [[weight for weight in self.weights_of(slot) if weight is not None] for slot in self._suffixes]

    def reset_parameters(self) -> None:
        """Draw all weights anew, uniform in ±1/sqrt(width) of their layer; a learned initial state starts at 0."""
        for suffix, widths in zip(self._suffixes, self.layout.slots(), strict=True):
            bound = 1 / math.sqrt(widths[-1])
            for weight in self.weights_of(suffix):
                if weight is not None:
                    nn.init.uniform_(weight, -bound, bound)
            if self.initial_state == "learned":
                for part in self._learned_state(suffix):
                    nn.init.zeros_(part)

    @property
    def kind(self) -> str:
        """Name of the cell among those of the kernels."""
        raise NotImplementedError

    def stream(self, batch: int | None = None) -> Stream:
        """The layers one step at a time, from NumPy to NumPy.

        Args:
            batch: sequences that go on side by side; None for one, as vectors without a batch axis.

        Returns:
            What owns packed weights and state, see `Stream`: `.step(x)`, `.reset()`, `.state`.

        Raises:
            UsageError: bidirectional layers, whose other direction begins at the end; or a batch below 1.
        """
        return Stream(self, batch)

    def explain(self, input: Batch) -> str:
        """Which code each layer and direction runs on for such an input, and why; see `recurra.ops`."""
        x, _ = self._enter(input, None)
        lines = [f"{type(self).__name__}({self.extra_repr()})"]
        for suffix in self._suffixes:
            lines.append(f"  {suffix.removeprefix('_')}: {ops.explain(x, self.weights_of(suffix))}")
        return "\n".join(lines)

    def flatten_parameters(self) -> None:
        """Do nothing; here so that code written for torch.nn runs."""

    def extra_repr(self) -> str:
        """What stands between the brackets of repr(): the sizes, and the options that are not the default."""
        defaults: dict[str, object] = {"num_layers": 1} if isinstance(self.hidden_size, int) else {}
        defaults |= {"proj_size": 0, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        defaults |= {"merge": "concat", "initial_state": "zero", "locked_dropout": False}
        options = [f"{name}={getattr(self, name)}" for name, usual in defaults.items() if getattr(self, name) != usual]
        return ", ".join([str(self.input_size), str(self.hidden_size), *options])

    def _run(self, input: Batch, hx: Sequence[Part] | None, lengths: Tensor | None) -> tuple[Output, tuple[Part, ...]]:
        """Bring any form of input to (time, batch, input), run the stack, give the results the form of the input."""
        x, lengths = self._enter(input, lengths)
        unbatched = isinstance(input, Tensor) and input.dim() == 2
        slots = self.first_state(x, self.training) if hx is None else self.layout.read(hx, x.shape[1], unbatched)
        outputs, slots = self.run_layers(x, slots, lengths)
        state = self.layout.write(slots, unbatched)
        if self.bidirectional and self.merge == "none":
            return (self._leave(outputs[0], input), self._leave(outputs[1], input)), state
        return self._leave(self._merge(outputs), input), state

    def _enter(self, input: Batch, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Check the input and bring it to (time, batch, input) with its lengths."""
        is_packed = isinstance(input, PackedSequence)
        data: Tensor = input.data if isinstance(input, PackedSequence) else input
        if data.shape[-1:] != (self.input_size,) or (not is_packed and data.dim() not in (2, 3)):
            raise ShapeError(self._shape_message(tuple(data.shape), is_packed))
        cell = type(self).__name__
        if is_packed and lengths is not None:
            raise UsageError(f"{cell} lengths: a PackedSequence brings its own; pass one of the two")
        weight: Tensor = getattr(self, "weight_ih_l0")  # noqa: B009
        if data.dtype != weight.dtype and not torch.is_autocast_enabled(weight.device.type):
            kinds = f"expected {weight.dtype}, the weights' type, got {data.dtype}"
            raise UsageError(f"{cell} input: {kinds}; convert one with .to(dtype)")
        if isinstance(input, PackedSequence):
            return pad_packed_sequence(input)
        if input.dim() == 2:
            if lengths is not None:
                raise UsageError(f"{cell} lengths: one sequence without a batch axis has no padding; cut it instead")
            return input.unsqueeze(1), None
        x = input.transpose(0, 1) if self.batch_first else input  # (time, batch, input)
        if lengths is not None:
            check_lengths(lengths, x.shape[0], x.shape[1])
        return x, lengths

    def _shape_message(self, shape: tuple[int, ...], is_packed: bool) -> str:
        """What is wrong with the shape of an input."""
        size = self.input_size
        axes = f"(batch, time, {size})" if self.batch_first else f"(time, batch, {size})"
        if is_packed:
            expected = f"packed steps of {size} features"
        else:
            expected = axes if len(shape) == 3 else f"{axes} or (time, {size})"
        has_axes = is_packed or len(shape) in (2, 3)
        reason = "the last axis must equal input_size" if has_axes else "it must have two or three axes"
        return f"{type(self).__name__} input: expected {expected}, got {shape}; {reason}"

    def _leave(self, output: Tensor, input: Batch) -> Batch:
        """Give an output (time, batch, features) the form of the input."""
        if isinstance(input, PackedSequence):
            return pack_like(output, input)
        if input.dim() == 2:
            return output.squeeze(1)  # (time, features)
        return output.transpose(0, 1) if self.batch_first else output

    def draw_masks(self, x: Tensor) -> list[Tensor]:
        """What locked dropout multiplies the output of each layer but the last with, (1, batch, width).

        For `run_layers` where it is called step by step. x is any tensor (time, batch, features) of the batch.
        """
        widths = [
            width * (2 if self.bidirectional and self.merge == "concat" else 1) for width in self.layout.widths["h"]
        ]
        return [lock_dropout(x.new_ones(1, x.shape[1], width), self.dropout, self.training) for width in widths[:-1]]

    def run_layers(
        self, x: Tensor, slots: Sequence[Slot], lengths: Tensor | None, masks: Sequence[Tensor] | None = None
    ) -> tuple[list[Tensor], list[Slot]]:
        """Run the stack.

        Args:
            x: (time, batch, input).
            slots: state of each layer and direction before the first step.
            lengths: valid steps of each sequence, integer (batch,); None when all are.
            masks: what the output of each layer but the last is multiplied with, of `draw_masks`; None for new ones.

        Returns:
            The output of each direction of the last layer, and all final states.
        """
        directions = self.layout.directions
        finals: list[Slot] = []
        outputs: list[Tensor] = []
        for layer in range(self.num_layers):
            if layer:
                merged = self._merge(outputs)  # (time, batch, width of the merged layer)
                x = self._drop(merged) if masks is None else merged * masks[layer - 1]
            outputs = []
            for direction in range(directions):
                slot = layer * directions + direction
                weights = self.weights_of(self._suffixes[slot])
                output, final = self.run_layer(x, slots[slot], weights, lengths, direction == 1)
                outputs.append(output)
                finals.append(final)
        return outputs, finals

    def _merge(self, outputs: Sequence[Tensor]) -> Tensor:
        """Make one output of those of the directions, (time, batch, width or 2*width)."""
        if len(outputs) == 1:
            return outputs[0]
        forward, backward = outputs
        if self.merge == "sum":
            return forward + backward
        if self.merge == "average":
            return (forward + backward) / 2
        if self.merge == "multiply":
            return forward * backward
        return torch.cat([forward, backward], 2)

    def _drop(self, x: Tensor) -> Tensor:
        if self.locked_dropout:
            return lock_dropout(x, self.dropout, self.training)
        return nn.functional.dropout(x, self.dropout, self.training) if self.dropout else x

    def first_state(self, x: Tensor, training: bool) -> list[Slot]:
        """State before the first step when the caller passes none."""
        batch = x.shape[1]
        if self.initial_state == "learned":
            learned = [self._learned_state(suffix) for suffix in self._suffixes]
            return [tuple(part.expand(batch, -1) for part in parts) for parts in learned]
        deviation = RANDOM_STATE_DEVIATION if self.initial_state == "random" and training else 0.0
        zeros = [tuple(x.new_zeros(batch, width) for width in widths) for widths in self.layout.slots()]
        return [tuple(part.normal_(std=deviation) for part in parts) for parts in zeros] if deviation else zeros

    def _add_parameters(self, device: Device, dtype: torch.dtype | None) -> None:
        both = self.bidirectional and self.merge in ("concat", "none")
        outer = self.layout.widths["h"]
        inputs = [self.input_size, *(width * (2 if both else 1) for width in outer[:-1])]
        for slot, suffix in enumerate(self._suffixes):
            layer = slot // self.layout.directions
            rows = self.gates * self.widths[layer]
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs[layer]), "weight_hh": (rows, outer[layer])}
            if self.bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if self.proj_size:
                shapes["weight_hr"] = (self.proj_size, self.widths[layer])
            if self.initial_state == "learned":
                shapes |= {f"{part}0": (widths[layer],) for part, widths in self.layout.widths.items()}
            for name, shape in shapes.items():
                self.register_parameter(name + suffix, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))

    def weights_of(self, suffix: str) -> Weights:
        """Weights of one layer and direction, by what the names of its parameters end in."""
        weight_ih, weight_hh = getattr(self, f"weight_ih{suffix}"), getattr(self, f"weight_hh{suffix}")
        bias_ih = getattr(self, f"bias_ih{suffix}") if self.bias else None
        bias_hh = getattr(self, f"bias_hh{suffix}") if self.bias else None
        weight_hr = getattr(self, f"weight_hr{suffix}") if self.proj_size else None
        return Weights(weight_ih, weight_hh, bias_ih, bias_hh, weight_hr)

    def _learned_state(self, suffix: str) -> Slot:
        return tuple(getattr(self, f"{part}0{suffix}") for part in self.parts)

    def _check_options(self, num_layers: int) -> None:
        cell = type(self).__name__
        if not isinstance(self.hidden_size, int) and num_layers not in (1, self.num_layers):
            listed = f"hidden_size lists {self.num_layers} layers"
            raise UsageError(f"{cell} num_layers: {listed}, got num_layers={num_layers}; leave it out")
        if not isinstance(self.input_size, int) or self.input_size < 1:
            raise UsageError(f"{cell} input_size: expected an integer above 0, got {self.input_size!r}")
        if not self.widths:
            raise UsageError(
                f"{cell}: expected at least one layer, got num_layers={num_layers}, hidden_size={self.hidden_size}"
            )
        if any(not isinstance(width, int) or width < 1 for width in self.widths):
            raise UsageError(f"{cell} hidden_size: expected integers above 0, got {self.hidden_size!r}")
        if not 0 <= self.proj_size < min(self.widths):
            limit = f"0 (none) or less than every width of hidden_size ({min(self.widths)})"
            raise UsageError(f"{cell} proj_size: expected {limit}, got {self.proj_size}")
        if not 0.0 <= self.dropout <= 1.0:
            raise UsageError(f"{cell} dropout: expected a probability in 0..1, got {self.dropout}")
        for name, choices in (("merge", get_args(Merge)), ("initial_state", get_args(InitialState))):
            if getattr(self, name) not in choices:
                raise UsageError(f"{cell} {name}: expected one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if self.dropout and self.num_layers == 1:
            told = "dropout acts between layers, so with one layer it does nothing"
            warnings.warn(f"{cell} dropout={self.dropout}: {told}", stacklevel=4)
