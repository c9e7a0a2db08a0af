"""A planar flow as in the notebook of the second document: one module per layer, one flow at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

if TYPE_CHECKING:
    from triptych.studies.planar.settings import Settings


class Planar(nn.Module):
    """z + u tanh(w'z + b), with u constrained so that the layer is invertible."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        scales = settings.initial_scales
        self.u = nn.Parameter(scales.u * torch.randn(2))
        self.w = nn.Parameter(scales.w * torch.randn(2))
        self.b = nn.Parameter(scales.b * torch.randn(1))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        inner = self.w @ self.u
        u = self.u + (-1 + softplus(inner) - inner) * self.w / (self.w @ self.w)
        h = torch.tanh(z @ self.w + self.b)
        log_det = torch.log(torch.abs(1 + (1 - h**2) * (self.w @ u)))
        return z + u * h.unsqueeze(1), log_det


class Loop:
    """The training loop of a flow with k layers on samples (n, 2)."""

    def __init__(self, settings: Settings, layers: int, samples: Tensor) -> None:
        self.layers = nn.ModuleList(Planar(settings) for _ in range(layers))
        self.samples, self.batch_size = samples, settings.batch_size
        self.optimizer = torch.optim.RMSprop(
            self.layers.parameters(), lr=settings.learning_rate, alpha=settings.smoothing
        )

    def run(self, steps: int) -> float:
        """Run iterations; return the mean loss."""
        total = 0.0
        for _ in range(steps):
            z = self.samples[torch.randint(len(self.samples), (self.batch_size,))]
            log_det = torch.zeros(len(z))
            for layer in self.layers:
                z, added = layer(z)
                log_det = log_det + added
            log_base = -0.5 * (z**2 + math.log(2 * math.pi)).sum(1)
            loss = -(log_base + log_det).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / steps
