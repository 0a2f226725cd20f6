"""Pictures of a saved run."""

from recurra.inspection.curves import learning_curve

__all__ = ["learning_curve"]
