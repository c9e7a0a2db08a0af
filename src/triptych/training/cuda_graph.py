"""A training step as a CUDA graph: captured once, and then replayed.

A step of a GAN on CIFAR-10 starts thousands of kernels of a few microseconds each. The processor cannot start them as
fast as the GPU runs them. A graph starts all of them by one call, in the same order on the same numbers: the results
are the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

WARMUP = 3  # steps before the capture, in which libraries choose kernels and allocate memory

Step = Callable[[Tensor], dict[str, Tensor]]


class GraphedStep:
    """A captured training step, called with a batch like the step itself.

    `state` holds every tensor that a step changes. The capture leaves these tensors and the device's random number
    generator unchanged. Each call overwrites the tensors that the call before returned. Every value that differs
    between two steps must be in a tensor.
    """

    def __init__(self, step: Step, batch: Tensor, state: Iterable[Tensor]) -> None:
        self.batch, changed = batch.clone(), list(state)
        before = [tensor.clone() for tensor in changed]
        random_state, current, side = torch.cuda.get_rng_state(), torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(WARMUP):
                step(self.batch)
        current.wait_stream(side)
        with torch.no_grad():
            for tensor, value in zip(changed, before, strict=True):
                tensor.copy_(value)
        torch.cuda.set_rng_state(random_state)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.quantities = step(self.batch)

    def __call__(self, batch: Tensor) -> dict[str, Tensor]:
        self.batch.copy_(batch)
        self.graph.replay()
        return self.quantities
