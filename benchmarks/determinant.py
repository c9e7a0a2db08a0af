"""What `get_logdet` costs a dimension: by the matrix determinant lemma, the same for any number of dimensions."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import torch

from harness import PROGRESS, Table, seconds
from triptych.objectives import get_logdet

if TYPE_CHECKING:
    from bench import Bench

POINTS, CALLS = 64, 51
DIMENSIONS = [2**power for power in range(2, 15, 2)]


def measure(bench: Bench) -> list[Table]:
    """One table, `determinant`: a determinant by elimination would cost d^2 an element."""
    table = Table("determinant")
    torch.set_num_threads(1)
    inputs = {d: (torch.randn(POINTS, d), torch.randn(d), torch.randn(d), torch.randn(1)) for d in DIMENSIONS}
    for _ in PROGRESS.rounds("determinant", bench.rounds):
        for d, arguments in inputs.items():
            get_logdet(*arguments)
            found = statistics.median(seconds(lambda given=arguments: get_logdet(*given)) for _ in range(CALLS))
            table.add(f"d = {d:,}", "a call", 1e6 * found, "µs")
            table.add(f"d = {d:,}", "an element", 1e9 * found / (POINTS * d), "ns")
    torch.set_num_threads(bench.settings.runtime.threads)
    return [table]
