"""The CIFAR-10 training of the second document: SNGAN networks, two critic steps, an averaged generator."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu, softplus

from plain_loops.data import batches, signed

if TYPE_CHECKING:
    from triptych.settings.experiment import Experiment


class UpBlock(nn.Module):
    """A residual block of the generator, which doubles the image size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.conv1, self.conv2 = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(interpolate(relu(self.norm1(x)), scale_factor=2))
        return self.conv2(relu(self.norm2(h))) + self.shortcut(interpolate(x, scale_factor=2))


class Generator(nn.Module):
    """Latents (n, latent) to images (n, 3, 32, 32)."""

    def __init__(self, latent: int, width: int) -> None:
        super().__init__()
        self.width, self.start = width, nn.Linear(latent, 16 * width)
        self.blocks = nn.Sequential(*(UpBlock(width) for _ in range(3)))
        self.norm, self.last = nn.BatchNorm2d(width), nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.blocks(self.start(z).view(-1, self.width, 4, 4))
        return torch.tanh(self.last(relu(self.norm(h))))


class Block(nn.Module):
    """A residual block of the critic."""

    def __init__(self, inputs: int, width: int, *, down: bool, first: bool = False) -> None:
        super().__init__()
        self.down, self.first = down, first
        self.conv1, self.conv2 = nn.Conv2d(inputs, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, width, 1) if down else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(relu(self.conv1(x if self.first else relu(x))))
        if self.down:
            return avg_pool2d(h, 2) + avg_pool2d(self.shortcut(x), 2)
        return h + self.shortcut(x)


class Critic(nn.Module):
    """Images (n, 3, 32, 32) to one number (n, 1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            Block(3, width, down=True, first=True),
            Block(width, width, down=True),
            Block(width, width, down=False),
            Block(width, width, down=False),
        )
        self.last = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(relu(self.blocks(x)).sum((2, 3)))


class Loop:
    """The training loop, with the steps of the document's `make_train_step`."""

    def __init__(self, experiment: Experiment, pixels: Tensor, profile: str, device: str = "cpu") -> None:
        self.settings, self.device = experiment.model_at(profile), device
        model = self.settings
        self.images_per_step = experiment.batch_size * model.critic_steps
        self.generator, self.critic = Generator(model.latent, model.width).to(device), Critic(model.width).to(device)
        self.averaged, self.decay = copy.deepcopy(self.generator), experiment.ema
        own, betas = experiment.players["critic"], tuple(experiment.betas)
        self.generator_optimizer = torch.optim.Adam(
            self.generator.parameters(), lr=experiment.learning_rate, betas=betas
        )
        self.critic_optimizer = torch.optim.Adam(
            self.critic.parameters(), lr=own.learning_rate, betas=betas, weight_decay=own.weight_decay
        )
        self.batches = batches(pixels, signed, experiment.batch_size)

    def _metric(self, real: Tensor, fake: Tensor) -> Tensor:
        if self.settings.loss_type == "w1":
            return real.mean() - fake.mean()
        return 0.5 * (math.log(4) - softplus(-real).mean() - softplus(fake).mean())

    def _generator_loss(self, fake: Tensor) -> Tensor:
        if self.settings.loss_type == "w1":
            return -fake.mean()
        return -0.5 * softplus(fake).mean() if self.settings.generator_loss == "metric" else softplus(-fake).mean()

    def _penalty(self, real: Tensor) -> Tensor:
        real = real.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(self.critic(real).sum(), real, create_graph=True)
        return gradient.flatten(1).pow(2).sum(1).mean()

    def _samples(self, count: int) -> Tensor:
        return self.generator(torch.randn(count, self.settings.latent, device=self.device))

    def run(self, steps: int) -> float:
        """Run updates of the generator; return the mean metric."""
        total = 0.0
        for _ in range(steps):
            for _ in range(self.settings.critic_steps):
                real = next(self.batches).to(self.device)
                fake = self._samples(len(real)).detach()
                self.critic_optimizer.zero_grad()
                metric = self._metric(self.critic(real), self.critic(fake))
                loss = -metric
                if self.settings.reg_cf:
                    loss = loss + self.settings.reg_cf * self._penalty(real)
                loss.backward()
                self.critic_optimizer.step()
            self.generator_optimizer.zero_grad()
            self._generator_loss(self.critic(self._samples(len(real)))).backward()
            self.generator_optimizer.step()
            self._average()
            total += metric.item()
        return total / steps

    @torch.no_grad()
    def _average(self) -> None:
        for kept, new in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
            kept.copy_(self.decay * kept + (1 - self.decay) * new)
