"""GANs with a discriminator and GANs with a critic as trainable families: training step, validation and sampling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from triptych.models.gan.mlp import Discriminator, Generator
from triptych.models.gan.resnet import ResidualCritic, ResidualGenerator
from triptych.models.gan.settings import Model
from triptych.objectives.adversarial import (
    METRICS,
    critic_terms,
    discriminator_loss,
    generator_loss_of,
    non_saturating,
)
from triptych.training.distributed import draw_shard, shard
from triptych.training.family import Family, Update
from triptych.training.images import HeldOutImages

CHUNK = 250  # images per forward pass in the validation of a critic


def build(model: Model, image_shape: tuple[int, ...]) -> GanFamily:
    """Return a GAN with new networks. `model` must be resolved for one profile."""
    return (CriticFamily if model.architecture == "resnet" else DiscriminatorFamily)(model, image_shape)


class GanFamily(Family):
    """A generator and its opponent, each with an optimiser. Samples are drawn from the averaged generator."""

    networks: nn.ModuleDict
    generator: nn.Module
    can_be_graphed = True

    @property
    def averaged(self) -> nn.Module:
        return self.generator

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {name: list(network.parameters()) for name, network in self.networks.items()}

    def decode(self, latents: Tensor) -> Tensor:
        return (self.generator(latents) + 1) / 2

    def _generate(self, real: Tensor) -> Tensor:
        """Return as many generated images as there are real ones."""
        return self.generator(draw_shard(torch.randn, len(real), self.latent, device=real.device))


class DiscriminatorFamily(GanFamily):
    """A GAN with a discriminator, which classifies images as real or generated.

    Each step updates the discriminator once and then the generator once, each with newly generated images.
    """

    def __init__(self, model: Model, image_shape: tuple[int, ...]) -> None:
        self.generator = Generator(model.latent, model.generator, image_shape, model.leak)
        self.discriminator = Discriminator(image_shape, model.discriminator, model.leak, model.dropout)
        self.networks = nn.ModuleDict({"generator": self.generator, "discriminator": self.discriminator})
        self.latent, self.label_noise = model.latent, model.label_noise

    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        real = to_signed(pixels)
        with torch.no_grad():
            fake = self._generate(real)
        opponent_loss = discriminator_loss(self.discriminator(real), self.discriminator(fake), self.label_noise)
        update("discriminator", opponent_loss)
        loss = non_saturating(self.discriminator(self._generate(real)).float())
        update("generator", loss)
        return {"discriminator_loss": opponent_loss.detach(), "generator_loss": loss.detach()}

    def validate(self, images: HeldOutImages) -> dict[str, float]:
        """Return both losses, and the discriminator's accuracy, on held-out images and as many generated ones."""
        real = to_signed(images.pixels)
        real_logits = self.discriminator(real)
        fake_logits = self.discriminator(self._generate(real))
        return {
            "discriminator_loss": float(discriminator_loss(real_logits, fake_logits)),
            "generator_loss": float(non_saturating(fake_logits.float())),
            "discriminator_accuracy": float(torch.cat([real_logits > 0, fake_logits < 0]).float().mean()),
        }


class CriticFamily(GanFamily):
    """A GAN with a critic, which estimates the Jensen-Shannon divergence or the Wasserstein-1 distance.

    Each step updates the critic `critic_steps` times, each time on new images, and then the generator once. In
    training, the generator's batch normalisation uses the statistics of each batch. The averaged generator, from which
    samples are drawn, uses a copy of the running statistics.
    """

    def __init__(self, model: Model, image_shape: tuple[int, ...]) -> None:
        self.generator = ResidualGenerator(model.latent, model.width, image_shape)
        self.penalised = model.reg_type != "none"
        self.critic = ResidualCritic(
            model.width, image_shape, spectral=model.spectral_normalization, penalised=self.penalised
        )
        self.networks = nn.ModuleDict({"generator": self.generator, "critic": self.critic})
        self.latent, self.batches_per_step = model.latent, model.critic_steps
        self.terms = critic_terms(model.loss_type, model.reg_type if self.penalised else None, model.reg_cf)
        self.metric = METRICS[model.loss_type]
        self.generator_loss = generator_loss_of(model.loss_type, model.generator_loss)

    def compiled(self) -> list[nn.Module]:
        """Return the modules to compile: not a penalised critic, since torch.compile differentiates only once."""
        return [self.generator] if self.penalised else [self.generator, self.critic]

    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        for batch in to_signed(pixels).chunk(self.batches_per_step):
            real = shard(batch)
            with torch.no_grad():
                fake = self._generate(real)
            critic_loss, metric = self.terms(real, fake, self.critic)
            update("critic", critic_loss)
        loss = self.generator_loss(self.critic(self._generate(real)))
        update("generator", loss)
        return {"critic_loss": critic_loss.detach(), "metric": metric, "generator_loss": loss.detach()}

    def validate(self, images: HeldOutImages) -> dict[str, float]:
        """Return the critic's estimate and the generator's loss on held-out images and as many generated ones."""
        parts = images.pixels.split(CHUNK)
        cp = torch.cat([self.critic(to_signed(part)) for part in parts])
        latents = (torch.randn(len(part), self.latent, device=part.device) for part in parts)
        cq = torch.cat([self.critic(self.generator(part)) for part in latents])
        return {"metric": float(self.metric(cp, cq)), "generator_loss": float(self.generator_loss(cq))}


def to_signed(pixels: Tensor) -> Tensor:
    """Return 8-bit pixels of any shape, scaled to [-1, 1], the range of the generator's tanh.

    >>> to_signed(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    return pixels.float() / 127.5 - 1
