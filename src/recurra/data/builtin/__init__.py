"""Data sets that are generated or come with Python, so that they need no download."""
