"""Scores, named as in papers."""
