"""One loop for all tasks."""

from recurra.training.session import resume, train

__all__ = ["resume", "train"]
