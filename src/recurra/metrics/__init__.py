"""Metrics of predictions, named as in papers."""
