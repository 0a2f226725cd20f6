"""Recurrent layers as functions on tensors: one layer, one direction, time-major; see `recurra.ops.backends`."""
