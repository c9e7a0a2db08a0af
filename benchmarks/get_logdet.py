"""What `get_logdet` costs a dimension: by the matrix determinant lemma, the same for any number of dimensions.

Run it with `make bench`. Below about a thousand dimensions the calls themselves take most of the time.
"""

from __future__ import annotations

import statistics
import time

import torch

from triptych.objectives import get_logdet

POINTS, REPEATS = 64, 101
DIMENSIONS = [2**power for power in range(1, 15)]


def seconds(d: int) -> float:
    """The median time of one call on POINTS points of d dimensions."""
    z, u, w, b = torch.randn(POINTS, d), torch.randn(d), torch.randn(d), torch.randn(1)
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        get_logdet(z, u, w, b)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Print a line a dimension; a determinant by elimination would cost d^2 an element."""
    torch.set_num_threads(1)
    seconds(DIMENSIONS[0])  # the first calls prepare what later ones use
    print(f"get_logdet on {POINTS} points, median of {REPEATS} calls, one thread")
    print(f"{'d':>6} {'microseconds':>13} {'ns an element':>14}")
    for d in DIMENSIONS:
        found = seconds(d)
        print(f"{d:>6,} {1e6 * found:>13,.1f} {1e9 * found / (POINTS * d):>14.2f}")


if __name__ == "__main__":
    main()
