"""One loop for all tasks."""

from recurra.training.seeds import train_seeds
from recurra.training.session import resolve_recipe, resume, schema_of, train

__all__ = ["resolve_recipe", "resume", "schema_of", "train", "train_seeds"]
