"""The tasks Recurra can do, a package each."""

from recurra.tasks.registry import TASKS, TaskEntry, find_task, task_of

__all__ = ["TASKS", "TaskEntry", "find_task", "task_of"]
