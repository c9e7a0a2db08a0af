"""The GAN that an experiment names, by its architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.models.gan.critic import CriticFamily
from triptych.models.gan.discriminator import DiscriminatorFamily

if TYPE_CHECKING:
    from triptych.models.gan.settings import Model
    from triptych.training.family import Family

ARCHITECTURES = {"mlp": DiscriminatorFamily, "resnet": CriticFamily}


def build(model: Model, image_shape: tuple[int, ...]) -> Family:
    """A freshly initialised pair of players; `width` is of one profile."""
    return ARCHITECTURES[model.architecture](model, image_shape)
