"""Recurrent layers as functions on tensors: one layer, one direction, time-major.

All else in the house calls these; which code runs behind them is decided here alone.
"""

from recurra.ops.composed import Weights, gru, lstm, rnn

__all__ = ["Weights", "gru", "lstm", "rnn"]
