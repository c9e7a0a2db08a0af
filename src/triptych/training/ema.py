"""Exponential moving average of a network's weights (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Keeps averaged <- decay * averaged + (1 - decay) * weight beside a module.

    The first updates average over fewer weights than `decay` stands for, min(decay, (1 + n) / (10 + n)) at update n, so
    that the start is forgotten soon. Parameters are averaged; buffers, such as the running statistics of batch
    normalisation, are copied as they are: they are averages already.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.shadow = {name: value.detach().clone() for name, value in module.state_dict().items()}
        self.parameters = self._beside(module.named_parameters())
        self.buffers = self._beside(module.named_buffers())

    def _beside(self, tensors: Iterable[tuple[str, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
        """Of these, those that are kept: as they are here, and in the module."""
        kept = [(self.shadow[name], value) for name, value in tensors if name in self.shadow]
        return [shadow for shadow, _ in kept], [value for _, value in kept]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the module's present weights, after optimiser step number `step`, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(*self.parameters, 1 - decay)
        if self.buffers[0]:
            torch._foreach_copy_(*self.buffers)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the module carries the averaged weights."""
        trained: dict[str, Tensor] = {name: value.clone() for name, value in self.module.state_dict().items()}
        self.module.load_state_dict(self.shadow)
        try:
            yield
        finally:
            self.module.load_state_dict(trained)
