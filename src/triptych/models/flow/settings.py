"""The settings of a normalizing flow."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from triptych.core.settings_types import Depth, PerProfile, Section, SomeWidths, Width, each_profile
from triptych.data.image_shapes import Shape
from triptych.models.common.settings import FamilySettings

KEYS = {  # by architecture
    "realnvp": ["hidden"],
    "nice": ["hidden"],
    "multiscale": ["channels", "blocks"],
    "gated": ["channels", "blocks"],
}
SCALES = {"multiscale": (2,), "gated": (1, 3)}  # possible lengths of `channels`, by architecture

Channels = Annotated[list[Width], Field(min_length=1, max_length=3)]


class Dequantizer(Section):
    """The conditional flow of variational dequantisation: affine couplings on checkerboards.

    experiments:
      realnvp-mnist-variational:
        model: {variational_dequantization: {couplings: 2, hidden: [128]}}
    """

    couplings: Depth = Field(description="number of coupling layers")
    hidden: PerProfile[SomeWidths] = Field(
        description="widths of the hidden layers of each coupling; with `gated`: one number, the channels per network"
    )


class Model(FamilySettings):
    """The `model:` section of an experiment with `family: flow`.

    recipes:
      realnvp-mnist:
        model: {architecture: realnvp, alpha: 1.0e-3, couplings: 4, hidden: [512, 512]}
    """

    pixels: ClassVar[str] = "dequantized"

    architecture: Literal["realnvp", "nice", "multiscale", "gated"] = Field(
        description="`realnvp`: affine couplings on checkerboards; `nice`: additive couplings on halves; `multiscale`: "
        "convolutional RealNVP, with two groups of couplings at half of the image size and one at a quarter; `gated`: "
        "gated residual networks on checkerboards at full size, and with three `channels` also at half and at a quarter"
    )
    preparation: Literal["logit", "scale"] = Field(
        default="logit", description="the map from pixels in [0, 1) to the first coupling: the logit, or a linear map"
    )
    alpha: float | None = Field(
        default=None,
        gt=0.0,
        lt=0.5,
        description="with `preparation: logit`, required there: half of it is the margin that keeps pixels "
        "away from 0 and 1",
    )
    couplings: PerProfile[Depth] = Field(
        description="number of coupling layers; `multiscale`: in each of the three groups; `gated`: this number at "
        "full size, the same number again at half size, and twice this number at a quarter"
    )
    hidden: PerProfile[SomeWidths] | None = Field(
        default=None, description="`realnvp` and `nice` only, required there: widths of the hidden layers"
    )
    channels: PerProfile[Channels] | None = Field(
        default=None,
        description="`multiscale` and `gated` only, required there: channels of the networks; `multiscale`: at half "
        "and at a quarter of the size; `gated`: at full size, or at full, half and quarter size",
    )
    blocks: PerProfile[Depth] | None = Field(
        default=None, description="`multiscale` and `gated` only, required there: residual blocks per coupling"
    )
    activation_norm: bool = Field(
        default=False,
        description="use ActNorm, a learned shift and factor, initialised from data; `realnvp`: one of each for all "
        "pixels, before the first coupling; `multiscale`: one of each per channel, before each coupling",
    )
    data_initialisation: bool = Field(default=False, description="`nice` only: initialise factors and shifts from data")
    variational_dequantization: Dequantizer | None = Field(
        default=None, description="learn the dequantisation noise; off: uniform noise"
    )

    def misfit(self, shape: Shape) -> str:
        scales = max(len(widths) for widths in each_profile(self.channels or []))
        fits = scales < 2 or shape[-1] % 4 == 0
        words = f"architecture {self.architecture} halves images twice, so their sides must be multiples of 4"
        return "" if fits else words

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        self.require_keys(KEYS)
        self._require_lengths()
        if (self.preparation == "logit") != (self.alpha is not None):
            raise ValueError("alpha belongs to preparation: logit, and only there")
        if self.data_initialisation and self.architecture != "nice":
            raise ValueError(
                "data_initialisation is for architecture nice; realnvp and multiscale have activation_norm"
            )
        if self.activation_norm and self.architecture not in ("realnvp", "multiscale"):
            raise ValueError("activation_norm is for the architectures realnvp and multiscale")
        return self

    def _require_lengths(self) -> None:
        wanted, noise = SCALES.get(self.architecture), self.variational_dequantization
        if wanted and any(len(widths) not in wanted for widths in each_profile(self.channels)):
            raise ValueError(
                f"architecture {self.architecture} needs {' or '.join(map(str, wanted))} numbers in channels"
            )
        if noise and self.architecture == "gated" and any(len(widths) != 1 for widths in each_profile(noise.hidden)):
            raise ValueError("architecture gated needs 1 number in variational_dequantization.hidden")
        networks = [*each_profile(self.channels or []), *(each_profile(noise.hidden) if noise else [])]
        if self.architecture == "gated" and any(width < 2 for widths in networks for width in widths):
            raise ValueError("architecture gated normalises over channels, so each of its networks needs 2 or more")
