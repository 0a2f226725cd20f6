"""Charts and reports of a saved run."""

from recurra.inspection.curves import learning_curve
from recurra.inspection.evaluation import evaluation_page

__all__ = ["evaluation_page", "learning_curve"]
