"""Recurrent neural networks for sequences, from the equation to the service."""

__version__ = "0.1.0"
