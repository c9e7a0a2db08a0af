"""The cost of `get_logdet` per element: by the matrix determinant lemma it does not grow with the dimension."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import torch

from harness import PROGRESS, Table, seconds
from triptych.objectives import get_logdet

if TYPE_CHECKING:
    from harness import Context

POINTS, CALLS = 64, 51
DIMENSIONS = [2**power for power in range(2, 15, 2)]


def measure(context: Context) -> list[Table]:
    """Fill the table `determinant`. A determinant by elimination would cost d^2 per element."""
    table = Table("determinant")
    torch.set_num_threads(1)
    inputs = {d: (torch.randn(POINTS, d), torch.randn(d), torch.randn(d), torch.randn(1)) for d in DIMENSIONS}
    for _ in PROGRESS.rounds("determinant", context.rounds):
        for d, arguments in inputs.items():
            get_logdet(*arguments)
            found = statistics.median(seconds(lambda given=arguments: get_logdet(*given)) for _ in range(CALLS))
            table.add(f"d = {d:,}", "per call", 1e6 * found, "µs")
            table.add(f"d = {d:,}", "per element", 1e9 * found / (POINTS * d), "ns")
    torch.set_num_threads(context.settings.runtime.threads)
    return [table]
