"""The stack that all recurrent layers share: layers, directions, merging, dropout, state, and every form of input."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import KW_ONLY, MISSING, InitVar, dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from recurra.errors import ShapeError, UsageError
from recurra.lengths import check_lengths
from recurra.nn.dropout import lock_dropout
from recurra.nn.sequences import pack_like
from recurra.nn.state import LayerState, StateLayout
from recurra.nn.streaming import Stream
from recurra.ops.backends import Backend, explain_backend, run_layer
from recurra.ops.cells import Cell, Sizes, Weights, find_cell, option_choices

Merge: TypeAlias = Literal["concat", "sum", "average", "multiply", "none"]
InitialState: TypeAlias = Literal["zero", "random", "learned"]
Device: TypeAlias = torch.device | str | int | None
Batch: TypeAlias = Tensor | PackedSequence
Output: TypeAlias = Batch | tuple[Batch, Batch]
State: TypeAlias = Any  # of one part a `Part`, of several a tuple of one `Part` each

RANDOM_STATE_DEVIATION = 0.1
ARGUMENTS = """input_size: features of the input.
        hidden_size: width of all layers, or a list of the width of each.
        num_layers: layers when hidden_size is one width.
        bias: with b_ih and b_hh.
        batch_first: input and output are (batch, time, features); the state is not.
        dropout: probability of dropping an output between layers.
        bidirectional: run each layer in both directions.
        device: where the weights live.
        dtype: type of the weights.
        merge: how the two directions become one output, in every layer: "concat", "sum", "average", "multiply", or
            "none" for a final output (forward, backward), while layers above see both side by side.
        initial_state: what hx is when left out: "zero"; "random", normal with standard deviation 0.1 in training
            mode and zero in evaluation mode; or "learned", parameters `h0_l0`, ... that start at zero, one for each
            part of the state.
        locked_dropout: one dropout mask for all time steps of a sequence (Gal & Ghahramani 2016)."""


@dataclass(eq=False, repr=False)
class Recurrent(nn.Module):
    """Stacked recurrent layers in one or two directions; a layer class names its cell and the options of that.

    Parameters have torch.nn's names, shapes, gate order and initial distribution, drawn in torch's order. The arguments
    stand in the order of torch.nn's classes.

    Args:
        {arguments}

    Raises:
        UsageError: an option outside of what is listed here.
    """

    family: ClassVar[str]  # of cells

    # With init=False an argument that not all layers take: it keeps its place for those that declare it again.
    input_size: int
    hidden_size: int | Sequence[int]
    num_layers: int = 1
    nonlinearity: str = field(init=False)
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    bidirectional: bool = False
    proj_size: int = field(default=0, init=False)
    device: InitVar[Device] = None
    dtype: InitVar[torch.dtype | None] = None
    _: KW_ONLY
    merge: Merge = "concat"
    initial_state: InitialState = "zero"
    locked_dropout: bool = False
    recompute: bool = field(default=False, init=False)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__doc__ = (cls.__doc__ or "").replace("{arguments}", ARGUMENTS)

    def __post_init__(self, device: Device, dtype: torch.dtype | None) -> None:
        super().__init__()
        num_layers, is_listed = self.num_layers, not isinstance(self.hidden_size, int)
        self.widths = (self.hidden_size,) * num_layers if isinstance(self.hidden_size, int) else tuple(self.hidden_size)
        self.hidden_size = self.widths if is_listed else self.hidden_size
        self.num_layers, self.dropout = len(self.widths), float(self.dropout)
        self.cell: Cell = find_cell(self.family, **{name: getattr(self, name) for name in option_choices(self.family)})
        self._check_options(num_layers)
        self.layout = StateLayout(type(self).__name__, self._state_widths(), 1 + self.bidirectional, is_listed)
        directions = ("", "_reverse")[: 1 + self.bidirectional]
        # What the names of the parameters of every layer and direction end in.
        self._suffixes = [f"_l{layer}{direction}" for layer in range(self.num_layers) for direction in directions]
        self._weight_names = tuple(self.cell.weight_shapes(self._sizes(0)))
        self._add_parameters(device, dtype)
        self.reset_parameters()

    def forward(self, input: Batch, hx: State | None = None, *, lengths: Tensor | None = None) -> tuple[Output, State]:
        """Run the layers over a batch of sequences.

        Args:
            input: (time, batch, input); (batch, time, input) with batch_first; (time, input) for one sequence; or a
                PackedSequence.
            hx: state before the first step, (layers*directions, batch, width); with a list of widths a tuple of one
                (directions, batch, width) a layer; without the batch axis for one sequence. Of an LSTM a tuple of two
                such, h_0 and c_0, where h's width is proj_size if there is one.
            lengths: valid steps of each sequence, integer (batch,), 0 allowed, in any order; instead of packing.

        Returns:
            The last layer's output, (time, batch, directions*width) or as merged, 0 in the padding, in the form of
            the input; and the state after each sequence's last valid step, in the form of hx.

        Raises:
            ShapeError: input, hx or lengths that do not fit the layer; the message names the axis.
            UsageError: input of another type than the weights, or lengths where there is no padding.
        """
        x, lengths = self._enter(input, lengths)
        unbatched = isinstance(input, Tensor) and input.dim() == 2
        if hx is None:
            states = self.first_state(x, self.training)
        else:
            states = self.layout.read(self.layout.as_parts(hx), x.shape[1], unbatched)
        outputs, states = self.run_layers(x, states, lengths)
        state = self.layout.from_parts(self.layout.write(states, unbatched))
        if self.bidirectional and self.merge == "none":
            return (self._leave(outputs[0], input), self._leave(outputs[1], input)), state
        return self._leave(self._merge(outputs), input), state

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """Weights of each layer and direction, without those that are absent."""
        return [list(self.weights_of(suffix).values()) for suffix in self._suffixes]

    def reset_parameters(self) -> None:
        """Draw all weights anew, uniform in ±1/sqrt(width) of their layer; a learned initial state starts at 0."""
        for suffix, widths in zip(self._suffixes, self.layout.layer_widths(), strict=True):
            bound = 1 / math.sqrt(widths[-1])
            for weight in self.weights_of(suffix).values():
                nn.init.uniform_(weight, -bound, bound)
            if self.initial_state == "learned":
                for part in self._learned_state(suffix):
                    nn.init.zeros_(part)

    def stream(self, batch: int | None = None) -> Stream:
        """The layers one step at a time, from NumPy to NumPy.

        Args:
            batch: sequences that go on side by side; None for one, as vectors without a batch axis.

        Returns:
            An object with its own copy of the weights and the state, see `Stream`: `.step(x)`, `.reset()`, `.state`.

        Raises:
            UsageError: bidirectional layers, whose other direction begins at the end; or a batch below 1.
        """
        return Stream(self, batch)

    def explain(self, input: Batch) -> str:
        """The backend that each layer and direction runs on for such an input, and why."""
        x, _ = self._enter(input, None)
        lines = [f"{type(self).__name__}({self.extra_repr()})"]
        for suffix in self._suffixes:
            lines.append(f"  {suffix.removeprefix('_')}: {explain_backend(self.cell, x, self.weights_of(suffix))}")
        return "\n".join(lines)

    def flatten_parameters(self) -> None:
        """Do nothing; here so that code written for torch.nn runs."""

    def extra_repr(self) -> str:
        """What stands between the brackets of repr(): the sizes, and the options that are not the default."""
        listed = [option for option in fields(self) if option.default is not MISSING]
        if not isinstance(self.hidden_size, int):
            listed = [option for option in listed if option.name != "num_layers"]
        values = [(option, getattr(self, option.name)) for option in listed]
        options = [f"{option.name}={value}" for option, value in values if value != option.default]
        return ", ".join([str(self.input_size), str(self.hidden_size), *options])

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
        self,
        x: Tensor,
        states: Sequence[LayerState],
        lengths: Tensor | None,
        masks: Sequence[Tensor] | None = None,
        backend: Backend | None = None,
    ) -> tuple[list[Tensor], list[LayerState]]:
        """Run the stack.

        Args:
            x: (time, batch, input).
            states: of each layer and direction before the first step.
            lengths: valid steps of each sequence, integer (batch,); None when all are.
            masks: what the output of each layer but the last is multiplied with, of `draw_masks`; None for new ones.
            backend: which code runs them; None: as chosen by the user, or by what each layer is.

        Returns:
            The output of each direction of the last layer, and all final states.
        """
        directions, recompute = self.layout.directions, self.recompute
        finals: list[LayerState] = []
        outputs: list[Tensor] = []
        for place, suffix in enumerate(self._suffixes):
            layer, direction = divmod(place, directions)
            if not direction:
                x = x if not layer else self._input_of(layer, outputs, masks)
                outputs = []
            weights, is_reverse = self.weights_of(suffix), direction == 1
            output, final = run_layer(
                self.cell, x, states[place], weights, lengths, reverse=is_reverse, recompute=recompute, backend=backend
            )
            outputs.append(output)
            finals.append(final)
        return outputs, finals

    def _input_of(self, layer: int, outputs: Sequence[Tensor], masks: Sequence[Tensor] | None) -> Tensor:
        """The input of a layer above another, (time, batch, width of the merged layer)."""
        merged = self._merge(outputs)
        return self._drop(merged) if masks is None else merged * masks[layer - 1]

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

    def first_state(self, x: Tensor, training: bool) -> list[LayerState]:
        """State before the first step when the caller passes none."""
        batch = x.shape[1]
        if self.initial_state == "learned":
            learned = [self._learned_state(suffix) for suffix in self._suffixes]
            return [tuple(part.expand(batch, -1) for part in parts) for parts in learned]
        deviation = RANDOM_STATE_DEVIATION if self.initial_state == "random" and training else 0.0
        zeros = [tuple(x.new_zeros(batch, width) for width in widths) for widths in self.layout.layer_widths()]
        return [tuple(part.normal_(std=deviation) for part in parts) for parts in zeros] if deviation else zeros

    def _sizes(self, layer: int) -> Sizes:
        """Sizes of a layer and direction."""
        both = self.bidirectional and self.merge in ("concat", "none")
        below = (self.proj_size or self.widths[layer - 1]) * (2 if both else 1)
        return Sizes(below if layer else self.input_size, self.widths[layer], self.proj_size, self.bias)

    def _state_widths(self) -> dict[str, tuple[int, ...]]:
        """For each part of the state its width in every layer."""
        layers = [self.cell.state_widths(self._sizes(layer)) for layer in range(self.num_layers)]
        return {part: tuple(widths[part] for widths in layers) for part in self.cell.parts}

    def _add_parameters(self, device: Device, dtype: torch.dtype | None) -> None:
        for place, suffix in enumerate(self._suffixes):
            layer = place // self.layout.directions
            shapes = self.cell.weight_shapes(self._sizes(layer))
            if self.initial_state == "learned":
                shapes |= {f"{part}0": (widths[layer],) for part, widths in self.layout.widths.items()}
            for name, shape in shapes.items():
                self.register_parameter(name + suffix, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))

    def weights_of(self, suffix: str) -> Weights:
        """Weights of one layer and direction, by what the names of its parameters end in."""
        return {name: getattr(self, name + suffix) for name in self._weight_names}

    def top_hidden(self, state: State) -> Tensor:
        """h of the last layer, (directions, batch, width), from a state as `forward` returns it."""
        hidden = self.layout.as_parts(state)[0]
        return hidden[-self.layout.directions :] if isinstance(hidden, Tensor) else hidden[-1]

    def _learned_state(self, suffix: str) -> LayerState:
        return tuple(getattr(self, f"{part}0{suffix}") for part in self.cell.parts)

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
