"""The settings of a normalizing flow."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from triptych.core.settings_types import Depth, PerProfile, Section, SomeWidths, Width
from triptych.data.image_shapes import Shape
from triptych.models.common.settings import FamilySettings

KEYS = {"realnvp": ["hidden"], "nice": ["hidden"], "multiscale": ["channels", "blocks"]}  # by architecture

Channels = Annotated[list[Width], Field(min_length=2, max_length=2)]


class Dequantizer(Section):
    """The conditional flow of variational dequantisation: affine couplings on checkerboards."""

    couplings: Depth
    hidden: PerProfile[SomeWidths]


class Model(FamilySettings):
    """The `model:` section of an experiment with `family: flow`."""

    pixels: ClassVar[str] = "dequantized"

    architecture: Literal["realnvp", "nice", "multiscale"] = Field(description="the kind of couplings")
    preparation: Literal["logit", "scale"] = Field(
        default="logit", description="the map from [0, 1) to the inputs of the couplings"
    )
    alpha: float | None = Field(
        default=None, gt=0.0, lt=0.5, description="share of [0, 1] by which the logit avoids 0 and 1"
    )
    couplings: Depth = Field(description="coupling layers, with multiscale: per scale")
    hidden: PerProfile[SomeWidths] | None = Field(
        default=None, description="widths of the hidden layers, realnvp and nice"
    )
    channels: PerProfile[Channels] | None = Field(
        default=None, description="channels of the networks at a half and at a quarter of the image size, multiscale"
    )
    blocks: PerProfile[Depth] | None = Field(default=None, description="residual blocks per coupling, multiscale")
    activation_norm: bool = Field(
        default=False, description="ActNorm: one for all pixels; with multiscale one per channel, before each coupling"
    )
    data_initialisation: bool = Field(
        default=False, description="initialisation of the factors and shifts from data, nice"
    )
    variational_dequantization: Dequantizer | None = Field(default=None, description="in place of uniform noise")

    def misfit(self, shape: Shape) -> str:
        fits = self.architecture != "multiscale" or shape[-1] % 4 == 0
        return "" if fits else "architecture multiscale halves images twice, so their sides must be multiples of 4"

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        self.require_keys(KEYS)
        if (self.preparation == "logit") != (self.alpha is not None):
            raise ValueError("alpha belongs to preparation: logit, and only there")
        if self.data_initialisation and self.architecture != "nice":
            raise ValueError("data_initialisation is for architecture nice; the others have activation_norm")
        return self
