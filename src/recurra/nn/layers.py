"""RNN, LSTM and GRU: drop-in replacements for torch.nn's, with what torch leaves out as keyword-only options."""

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra import ops
from recurra.errors import UsageError
from recurra.nn.recurrent import Batch, Device, InitialState, Merge, Output, Recurrent
from recurra.nn.state import Part, Slot
from recurra.ops import Weights

NONLINEARITIES = ("tanh", "relu", "sigmoid")


class RNN(Recurrent):
    """Plain recurrent layers: h' = f(W_ih x + b_ih + W_hh h + b_hh).

    Constructor arguments up to `dtype`, state_dict, initial weights and results are torch.nn.RNN's.

    Args:
        input_size: features of the input.
        hidden_size: width of all layers, or a list of the width of each.
        num_layers: layers when hidden_size is one width.
        nonlinearity: f, one of "tanh", "relu", "sigmoid".
        bias: with b_ih and b_hh.
        batch_first: input and output are (batch, time, features); the state is not.
        dropout: probability of dropping an output between layers.
        bidirectional: run each layer in both directions.
        device: where the weights live.
        dtype: type of the weights.
        merge: how the two directions become one output, in every layer: "concat", "sum", "average", "multiply", or
            "none" for a final output (forward, backward), while layers above see both side by side.
        initial_state: what hx is when left out: "zero"; "random", normal with standard deviation 0.1 in training
            mode and zero in evaluation mode; or "learned", parameters `h0_l0`, ... that start at zero.
        locked_dropout: one dropout mask for all time steps of a sequence (Gal & Ghahramani 2016).

    Raises:
        UsageError: an option outside of what is listed here.

    Source: Elman 1990.
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        merge: Merge = "concat",
        initial_state: InitialState = "zero",
        locked_dropout: bool = False,
    ) -> None:
        if nonlinearity not in NONLINEARITIES:
            raise UsageError(f"RNN nonlinearity: expected one of {', '.join(NONLINEARITIES)}, got {nonlinearity!r}")
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
            merge,
            initial_state,
            locked_dropout,
        )
        self.nonlinearity = nonlinearity

    def forward(self, input: Batch, hx: Part | None = None, *, lengths: Tensor | None = None) -> tuple[Output, Part]:
        """Run the layers over a batch of sequences.

        Args:
            input: (time, batch, input); (batch, time, input) with batch_first; (time, input) for one sequence; or a
                PackedSequence.
            hx: state before the first step, (layers*directions, batch, hidden); with a list of widths a tuple of one
                (directions, batch, width) a layer; without the batch axis for one sequence.
            lengths: valid steps of each sequence, integer (batch,), 0 allowed, in any order; instead of packing.

        Returns:
            The last layer's output, (time, batch, directions*hidden) or as merged, 0 in the padding, in the form of
            the input; and the state after each sequence's last valid step, in the form of hx.

        Raises:
            ShapeError: input, hx or lengths that do not fit the layer; the message names the axis.
            UsageError: input of another type than the weights, or lengths where there is no padding.
        """
        output, (h_n,) = self._run(input, None if hx is None else (hx,), lengths)
        return output, h_n

    @property
    def kind(self) -> str:
        """Name of the cell among those of the kernels."""
        return f"rnn_{self.nonlinearity}"

    def run_layer(
        self, x: Tensor, state: Slot, weights: Weights, lengths: Tensor | None, reverse: bool
    ) -> tuple[Tensor, Slot]:
        """Run one layer in one direction."""
        nonlinearity = self.nonlinearity
        output, h_n = ops.rnn(x, state[0], weights, lengths=lengths, reverse=reverse, nonlinearity=nonlinearity)
        return output, (h_n,)

    def extra_repr(self) -> str:
        """What stands between the brackets of repr()."""
        shown = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + shown


class LSTM(Recurrent):
    """Long short-term memory, gates i, f, g, o: c' = f*c + i*g, h' = o*tanh(c').

    Constructor arguments up to `dtype`, state_dict, initial weights and results are torch.nn.LSTM's.

    Args:
        input_size: features of the input.
        hidden_size: width of all layers, or a list of the width of each.
        num_layers: layers when hidden_size is one width.
        bias: with b_ih and b_hh.
        batch_first: input and output are (batch, time, features); the state is not.
        dropout: probability of dropping an output between layers.
        bidirectional: run each layer in both directions.
        proj_size: width to which h is projected in every layer; 0 for none.
        device: where the weights live.
        dtype: type of the weights.
        merge: how the two directions become one output, in every layer: "concat", "sum", "average", "multiply", or
            "none" for a final output (forward, backward), while layers above see both side by side.
        initial_state: what hx is when left out: "zero"; "random", normal with standard deviation 0.1 in training
            mode and zero in evaluation mode; or "learned", parameters `h0_l0`, `c0_l0`, ... that start at zero.
        locked_dropout: one dropout mask for all time steps of a sequence (Gal & Ghahramani 2016).
        recompute: keep no gates for the way back, but compute them again there, all steps at once: a third of the
            memory for two fifths more time. On the fused path; the composed one keeps all.

    Raises:
        UsageError: an option outside of what is listed here.

    Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000; Sak et al. 2014 for the projection.
    """

    gates = 4
    parts = ("h", "c")
    kind = "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        merge: Merge = "concat",
        initial_state: InitialState = "zero",
        locked_dropout: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
            merge,
            initial_state,
            locked_dropout,
        )
        self.recompute = recompute

    def forward(
        self, input: Batch, hx: tuple[Part, Part] | None = None, *, lengths: Tensor | None = None
    ) -> tuple[Output, tuple[Part, Part]]:
        """Run the layers over a batch of sequences.

        Args:
            input: (time, batch, input); (batch, time, input) with batch_first; (time, input) for one sequence; or a
                PackedSequence.
            hx: h_0 and c_0 before the first step, each (layers*directions, batch, width), where h's width is proj_size
                if there is one; with a list of widths each a tuple of one (directions, batch, width) a layer; without
                the batch axis for one sequence.
            lengths: valid steps of each sequence, integer (batch,), 0 allowed, in any order; instead of packing.

        Returns:
            The last layer's output, (time, batch, directions*width) or as merged, 0 in the padding, in the form of
            the input; and h_n, c_n after each sequence's last valid step, in the form of hx.

        Raises:
            ShapeError: input, hx or lengths that do not fit the layer; the message names the axis.
            UsageError: input of another type than the weights, or lengths where there is no padding.
        """
        output, (h_n, c_n) = self._run(input, hx, lengths)
        return output, (h_n, c_n)

    def run_layer(
        self, x: Tensor, state: Slot, weights: Weights, lengths: Tensor | None, reverse: bool
    ) -> tuple[Tensor, Slot]:
        """Run one layer in one direction."""
        recompute = self.recompute
        return ops.lstm(x, (state[0], state[1]), weights, lengths=lengths, reverse=reverse, recompute=recompute)

    def extra_repr(self) -> str:
        """What stands between the brackets of repr()."""
        return super().extra_repr() + (", recompute=True" if self.recompute else "")


class GRU(Recurrent):
    """Gated recurrent unit, gates r, z, n: h' = (1-z)*n + z*h.

    Constructor arguments up to `dtype`, state_dict, initial weights and results are torch.nn.GRU's. As there,
    n = tanh(W_in x + b_in + r*(W_hn h + b_hn)); with reset_after=False, as first published,
    n = tanh(W_in x + b_in + W_hn (r*h) + b_hn).

    Args:
        input_size: features of the input.
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
            mode and zero in evaluation mode; or "learned", parameters `h0_l0`, ... that start at zero.
        locked_dropout: one dropout mask for all time steps of a sequence (Gal & Ghahramani 2016).
        reset_after: the reset gate acts after the matrix product, not before it.
        recompute: keep no gates for the way back, but compute them again there, all steps at once: a fifth of the
            memory for two fifths more time. On the fused path; the composed one keeps all.

    Raises:
        UsageError: an option outside of what is listed here.

    Source: Cho et al. 2014.
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        merge: Merge = "concat",
        initial_state: InitialState = "zero",
        locked_dropout: bool = False,
        reset_after: bool = True,
        recompute: bool = False,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
            merge,
            initial_state,
            locked_dropout,
        )
        self.reset_after = reset_after
        self.recompute = recompute

    def forward(self, input: Batch, hx: Part | None = None, *, lengths: Tensor | None = None) -> tuple[Output, Part]:
        """Run the layers over a batch of sequences.

        Args:
            input: (time, batch, input); (batch, time, input) with batch_first; (time, input) for one sequence; or a
                PackedSequence.
            hx: state before the first step, (layers*directions, batch, hidden); with a list of widths a tuple of one
                (directions, batch, width) a layer; without the batch axis for one sequence.
            lengths: valid steps of each sequence, integer (batch,), 0 allowed, in any order; instead of packing.

        Returns:
            The last layer's output, (time, batch, directions*hidden) or as merged, 0 in the padding, in the form of
            the input; and the state after each sequence's last valid step, in the form of hx.

        Raises:
            ShapeError: input, hx or lengths that do not fit the layer; the message names the axis.
            UsageError: input of another type than the weights, or lengths where there is no padding.
        """
        output, (h_n,) = self._run(input, None if hx is None else (hx,), lengths)
        return output, h_n

    @property
    def kind(self) -> str:
        """Name of the cell among those of the kernels."""
        return "gru" if self.reset_after else "gru_reset_before"

    def run_layer(
        self, x: Tensor, state: Slot, weights: Weights, lengths: Tensor | None, reverse: bool
    ) -> tuple[Tensor, Slot]:
        """Run one layer in one direction."""
        options = {"reset_after": self.reset_after, "recompute": self.recompute}
        output, h_n = ops.gru(x, state[0], weights, lengths=lengths, reverse=reverse, **options)
        return output, (h_n,)

    def extra_repr(self) -> str:
        """What stands between the brackets of repr()."""
        shown = "" if self.reset_after else ", reset_after=False"
        return super().extra_repr() + shown + (", recompute=True" if self.recompute else "")
