"""Labelled series of measurements: files to examples."""
