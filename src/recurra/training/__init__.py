"""One loop for all tasks."""

from recurra.training.session import resume, schema_of, train

__all__ = ["resume", "schema_of", "train"]
