"""The settings of a VAE."""

from typing import ClassVar, Literal

from pydantic import PositiveInt

from triptych.schema import Section


class Model(Section):
    """The `model:` section of an experiment with `family: vae`."""

    pixels: ClassVar[str] = "binary"

    latent: PositiveInt
    hidden: list[PositiveInt]
    activation: Literal["tanh", "relu", "elu"]
    decoder_shift: float
