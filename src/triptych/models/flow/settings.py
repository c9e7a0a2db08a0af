"""The settings of a normalizing flow."""

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from triptych.schema import Section


class Model(Section):
    """The `model:` section of an experiment with `family: flow`."""

    pixels: ClassVar[str] = "dequantized"

    architecture: Literal["realnvp"]
    alpha: NonNegativeFloat = Field(gt=0.0, lt=0.5, description="how far the logit keeps from 0 and 1")
    couplings: PositiveInt
    hidden: list[PositiveInt] = Field(min_length=1)
