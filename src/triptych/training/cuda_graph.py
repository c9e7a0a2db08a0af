"""A step of training as a CUDA graph: recorded once, and then started whole.

A step of a GAN on CIFAR-10 is thousands of kernels, each of microseconds. Started one by one they keep a GPU waiting
for the processor; as a graph they take one call, and run in the same order on the same numbers: the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

WARM = 3  # steps before the recording: libraries choose kernels and take memory at the first

Step = Callable[[Tensor], dict[str, Tensor]]


class RecordedStep:
    """Called with a batch, it does what `step` did with the batch that it was recorded on.

    `state` is every tensor that a step changes: the recording leaves them, and the device's random numbers, as they
    were. What a step returns is overwritten by the next one. Whatever differs between two steps must be in tensors.
    """

    def __init__(self, step: Step, batch: Tensor, state: Iterable[Tensor]) -> None:
        self.batch, changed = batch.clone(), list(state)
        before = [tensor.clone() for tensor in changed]
        random, here, aside = torch.cuda.get_rng_state(), torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                step(self.batch)
        here.wait_stream(aside)
        with torch.no_grad():
            for tensor, value in zip(changed, before, strict=True):
                tensor.copy_(value)
        torch.cuda.set_rng_state(random)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.quantities = step(self.batch)

    def __call__(self, batch: Tensor) -> dict[str, Tensor]:
        self.batch.copy_(batch)
        self.graph.replay()
        return self.quantities
