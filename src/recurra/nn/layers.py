"""RNN, LSTM and GRU, drop-in replacements for torch.nn's with further options; and MGU, which torch lacks."""

from dataclasses import dataclass, field

from recurra.nn.recurrent import Recurrent

__all__ = ["GRU", "LAYERS", "LSTM", "MGU", "RNN"]


@dataclass(eq=False, repr=False)
class RNN(Recurrent):
    """Plain recurrent layers: h' = f(W_ih x + b_ih + W_hh h + b_hh).

    Constructor arguments up to `dtype`, state_dict, initial weights and results are torch.nn.RNN's.

    Args:
        nonlinearity: f, one of "tanh", "relu", "sigmoid".
        {arguments}

    Raises:
        UsageError: an option outside of what is listed here.

    Source: Elman 1990.
    """

    family = "RNN"

    nonlinearity: str = "tanh"


@dataclass(eq=False, repr=False)
class LSTM(Recurrent):
    """Long short-term memory, gates i, f, g, o: c' = f*c + i*g, h' = o*tanh(c').

    Constructor arguments up to `dtype`, state_dict, initial weights and results are torch.nn.LSTM's.

    Args:
        {arguments}
        proj_size: width to which h is projected in every layer; 0 for none.
        recompute: keep no gates for the backward pass, but compute them again there, all steps at once: a third of the
            memory for two fifths more time. On the kernels; the other backends keep all.

    Raises:
        UsageError: an option outside of what is listed here.

    Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000; Sak et al. 2014 for the projection.
    """

    family = "LSTM"

    proj_size: int = 0
    recompute: bool = field(default=False, kw_only=True)


@dataclass(eq=False, repr=False)
class GRU(Recurrent):
    """Gated recurrent unit, gates r, z, n: h' = (1-z)*n + z*h.

    Constructor arguments up to `dtype`, state_dict, initial weights and results are torch.nn.GRU's. As there,
    n = tanh(W_in x + b_in + r*(W_hn h + b_hn)); with reset_after=False, as first published,
    n = tanh(W_in x + b_in + W_hn (r*h) + b_hn).

    Args:
        {arguments}
        reset_after: the reset gate acts after the matrix product, not before it.
        recompute: keep no gates for the backward pass, but compute them again there, all steps at once: a fifth of the
            memory for two fifths more time. On the kernels; the other backends keep all.

    Raises:
        UsageError: an option outside of what is listed here.

    Source: Cho et al. 2014.
    """

    family = "GRU"

    reset_after: bool = field(default=True, kw_only=True)
    recompute: bool = field(default=False, kw_only=True)


@dataclass(eq=False, repr=False)
class MGU(Recurrent):
    """Minimal gated unit, gates f, n: h' = (1-f)*h + f*n with n = tanh(W_in x + b_in + W_hn (f*h) + b_hn).

    A GRU whose two gates are one: two thirds of its weights. It runs step by step, since no kernel is written for it.

    Args:
        {arguments}

    Raises:
        UsageError: an option outside of what is listed here.

    Source: Zhou et al. 2016.
    """

    family = "MGU"


# By name in recipes.
LAYERS: dict[str, type[Recurrent]] = {layer.family.lower(): layer for layer in (RNN, LSTM, GRU, MGU)}
