"""Text: files of it, tokens, and examples of text for each task."""
