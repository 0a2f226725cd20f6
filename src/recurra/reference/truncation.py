"""Backpropagation through time cut into windows: where the gradient of the carried state stops."""

from recurra.errors import UsageError


def check_window(window: int | None) -> None:
    """Refuse a window that is not a whole number of steps.

    Raises:
        UsageError: below 1 or not an integer.
    """
    if window is not None and (not isinstance(window, int) or isinstance(window, bool) or window < 1):
        raise UsageError(f"window: expected a whole number of steps, at least 1, or None for all, got {window!r}")


def is_cut(step: int, window: int | None) -> bool:
    """Whether no gradient leaves `step` towards the step before it.

    Windows of `window` steps are counted from step 0: the state is cut on its way into step `window`, `2 * window`, ...
    The initial state, on its way into step 0, is never cut: it belongs to the first window.

    Args:
        step: index of the step, from 0.
        window: steps of a window; None cuts nowhere.

    Source: Williams & Peng 1990; docs/equations.md, Truncation.
    """
    return window is not None and step > 0 and step % window == 0
