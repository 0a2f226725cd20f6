"""The data set mackey-glass: a chaotic time series."""

from datetime import datetime, timedelta

NUM_POINTS = 4000
DELAY, FEED, DECAY = 17, 0.2, 0.1  # tau, beta and gamma; the exponent is 10
STEPS = 10  # of integration in a unit of time
START = 1.2  # at time 0 and before


def mackey_glass() -> list[str]:
    """The series as CSV with a value for each hour."""
    begin = datetime(2000, 1, 1)
    rows = (
        f"{(begin + timedelta(hours=hour)).isoformat()},{value:.6f}\n"
        for hour, value in enumerate(mackey_glass_series(NUM_POINTS))
    )
    return ["time,x\n" + "".join(rows)]


def mackey_glass_series(num_points: int) -> list[float]:
    """x(0), x(1), ... of x'(t) = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x(t), which is chaotic.

    Runge-Kutta of fourth order in steps of 0.1. The delayed value in the middle of a step is interpolated from four
    known ones by a cubic. Only sums, products and quotients are used, so that every machine computes the same digits.

    Source: Mackey & Glass 1977, Oscillation and chaos in physiological control systems, Science 197.
    """
    lag, step = DELAY * STEPS, 1 / STEPS
    values = [START] * (lag + 2)  # up to now
    for _ in range((num_points - 1) * STEPS):
        before, one, other, after = values[-lag - 2 : -lag + 2]  # `one` is at t - tau, `other` a step later
        fed = [feed(one), feed((9 * (one + other) - (before + after)) / 16), feed(other)]
        now = values[-1]
        first = fed[0] - DECAY * now
        second = fed[1] - DECAY * (now + step / 2 * first)
        third = fed[1] - DECAY * (now + step / 2 * second)
        fourth = fed[2] - DECAY * (now + step * third)
        values.append(now + step / 6 * (first + 2 * second + 2 * third + fourth))
    return values[lag + 1 :: STEPS]


def feed(delayed: float) -> float:
    """The term of the derivative that depends on the delayed value."""
    square = delayed * delayed
    fourth = square * square
    return FEED * delayed / (1 + fourth * fourth * square)
