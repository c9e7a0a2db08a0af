"""Choose the kind of GAN by its architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.models.gan.critic_family import CriticFamily
from triptych.models.gan.discriminator_family import DiscriminatorFamily

if TYPE_CHECKING:
    from triptych.models.gan.settings import Model
    from triptych.training.family import Family

ARCHITECTURES = {"mlp": DiscriminatorFamily, "resnet": CriticFamily}


def build(model: Model, image_shape: tuple[int, ...]) -> Family:
    """Return a GAN with new networks. `model.width` must be resolved for one profile."""
    return ARCHITECTURES[model.architecture](model, image_shape)
