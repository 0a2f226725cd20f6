"""Baselines that a model has to beat: counts, n-grams, persistence, linear models."""
