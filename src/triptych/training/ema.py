"""Exponential moving average of a network's weights, as in TensorFlow's `ExponentialMovingAverage`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Averaged copies of a module's parameters: averaged <- d * averaged + (1 - d) * parameter, with d of `decay_at`.

    Buffers, such as the running statistics of batch normalisation, are averages already: they are copied.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.shadow = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self.parameters = self._pairs(module.named_parameters())
        self.buffers = self._pairs(module.named_buffers())

    def _pairs(self, tensors: Iterable[tuple[str, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the averages and the module's tensors, in the same order, of the tensors that a state dict keeps."""
        kept = [(self.shadow[name], value) for name, value in tensors if name in self.shadow]
        return [shadow for shadow, _ in kept], [value for _, value in kept]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the averages from the module's weights after optimiser step number `step`, counted from 1."""
        torch._foreach_lerp_(*self.parameters, 1 - decay_at(step, self.decay))
        if self.buffers[0]:
            torch._foreach_copy_(*self.buffers)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the module the averaged weights inside the block."""
        trained: dict[str, Tensor] = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.module.load_state_dict(self.shadow)
        try:
            yield
        finally:
            self.module.load_state_dict(trained)


def decay_at(step: int, decay: float) -> float:
    """Return the decay at update `step`, counted from 1: min(decay, (1 + step) / (10 + step)).

    It is lower in the first updates, so that the initial weights are forgotten soon.

    >>> [round(decay_at(step, decay=0.998), 3) for step in (1, 10, 10_000)]
    [0.182, 0.55, 0.998]
    """
    return min(decay, (1 + step) / (10 + step))
