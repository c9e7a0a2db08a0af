"""The settings of a GAN."""

from typing import ClassVar

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from triptych.schema import Section


class Model(Section):
    """The `model:` section of an experiment with `family: gan`."""

    pixels: ClassVar[str] = "8-bit"

    latent: PositiveInt
    generator: list[PositiveInt] = Field(min_length=1, description="widths of the hidden layers")
    discriminator: list[PositiveInt] = Field(min_length=1, description="widths of the hidden layers")
    leak: PositiveFloat = Field(lt=1.0, description="slope of LeakyReLU below zero")
    dropout: NonNegativeFloat = Field(lt=1.0, description="in the discriminator")
    label_noise: NonNegativeFloat = Field(lt=0.5, description="share of labels that the discriminator sees flipped")
