"""Torch modules: recurrent layers that take the place of torch.nn's, and what models put around them."""

from recurra.nn.cells import GRU, LSTM, RNN
from recurra.nn.dropout import LockedDropout, drop_words
from recurra.nn.losses import linear_cross_entropy
from recurra.nn.sequences import both_ends, last_valid_step

__all__ = ["GRU", "LSTM", "RNN", "LockedDropout", "both_ends", "drop_words", "last_valid_step", "linear_cross_entropy"]
