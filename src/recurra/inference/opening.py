"""A run opened for use."""

from recurra.devices import device_of
from recurra.runs import Run
from recurra.tasks import Task


def open_task(task: Task, run: Run, device: str) -> int:
    """Give a restored task the best weights of its run, ready for use on a device.

    Returns:
        The step after which those weights were kept.

    Raises:
        RunError: the weights are missing, damaged or of another shape.
        UsageError: no such device.
    """
    steps: int = run.load_weights(task.model)["step"]
    task.model.to(device_of(device)).eval()
    return steps
