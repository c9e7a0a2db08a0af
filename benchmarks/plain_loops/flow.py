"""RealNVP and NICE on flat images, as in the templates of the first and the third document.

A RealNVP coupling multiplies by a mask of 784 values, and its network has 784 inputs. In Triptych the network maps the
unchanged half to the parameters of the other half, which is the same function.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from plain_loops.data import dequantized
from plain_loops.template import TemplateLoop

if TYPE_CHECKING:
    from triptych.settings.experiment import Experiment

SIDE = 28
PIXELS = SIDE**2


def network(sizes: list[int]) -> nn.Sequential:
    """Return linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class AffineCoupling(nn.Module):
    """An affine coupling: the masked values determine scale and shift of the others."""

    def __init__(self, mask: Tensor, hidden: list[int]) -> None:
        super().__init__()
        self.register_buffer("mask", mask)
        self.network = network([PIXELS, *hidden, 2 * PIXELS])
        self.factor = nn.Parameter(torch.ones(PIXELS))
        nn.init.zeros_(self.network[-1].weight)
        nn.init.zeros_(self.network[-1].bias)

    def forward(self, z: Tensor, log_det: Tensor) -> tuple[Tensor, Tensor]:
        kept = self.mask * z
        log_scale, shift = self.network(kept).chunk(2, dim=1)
        log_scale = torch.tanh(log_scale) * self.factor
        z = kept + (1 - self.mask) * (z * torch.exp(log_scale) + shift)
        return z, log_det + torch.sum((1 - self.mask) * log_scale, dim=1)


class AdditiveCoupling(nn.Module):
    """An additive coupling of two halves, followed by a learned factor per dimension."""

    def __init__(self, first: bool, hidden: list[int]) -> None:
        super().__init__()
        self.first = first
        self.network = network([PIXELS // 2, *hidden, PIXELS // 2])
        self.log_factor = nn.Parameter(torch.zeros(PIXELS))

    def forward(self, z: Tensor, log_det: Tensor) -> tuple[Tensor, Tensor]:
        left, right = z.chunk(2, dim=1)
        left, right = (left, right + self.network(left)) if self.first else (left + self.network(right), right)
        z = torch.cat([left, right], dim=1) * torch.exp(self.log_factor)
        return z, log_det + torch.sum(self.log_factor)


class Flow(nn.Module):
    """A flow; its forward pass returns the mean negative log-likelihood of dequantised images (n, 784)."""

    def __init__(self, layers: list[nn.Module], alpha: float) -> None:
        super().__init__()
        self.layers, self.alpha = nn.ModuleList(layers), alpha

    def forward(self, z: Tensor) -> Tensor:
        log_det = z.new_full((len(z),), PIXELS * (math.log(1 - self.alpha) - math.log(256)))
        z = z * (1 - self.alpha) + self.alpha * 0.5
        log_det = log_det - torch.sum(torch.log(z) + torch.log(1 - z), dim=1)
        z = torch.log(z) - torch.log(1 - z)
        for layer in self.layers:
            z, log_det = layer(z, log_det)
        return -(torch.sum(-0.5 * (z**2 + math.log(2 * math.pi)), dim=1) + log_det).mean()


def build(architecture: str, couplings: int, hidden: list[int], alpha: float) -> Flow:
    """Return the flow `realnvp` or `nice` with that many couplings."""
    board = ((torch.arange(SIDE)[:, None] + torch.arange(SIDE)) % 2).float().flatten()
    if architecture == "nice":
        return Flow([AdditiveCoupling(index % 2 == 0, hidden) for index in range(couplings)], alpha)
    return Flow([AffineCoupling(1 - board if index % 2 else board, hidden) for index in range(couplings)], alpha)


class Loop(TemplateLoop):
    """The template's loop for the flow of an experiment."""

    def __init__(self, experiment: Experiment, pixels: Tensor, profile: str, device: str = "cpu") -> None:
        model = experiment.model_at(profile)
        flow = build(model.architecture, model.couplings, model.hidden, model.alpha)
        super().__init__(flow, experiment, pixels, dequantized, device)
