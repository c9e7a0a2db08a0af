"""The settings of a normalizing flow."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from triptych.core.schema import Depth, Section, SomeWidths, Width

OWN = {"realnvp": {"hidden"}, "nice": {"hidden"}, "multiscale": {"channels", "blocks"}}  # keys by architecture


Channels = Annotated[list[Width], Field(min_length=2, max_length=2)]


class WidthsByProfile(Section):
    """Narrower networks where the budget is small."""

    quick: Channels
    full: Channels


class Dequantizer(Section):
    """The conditional flow behind variational dequantisation: affine couplings on checkerboards."""

    couplings: Depth
    hidden: SomeWidths


class Model(Section):
    """The `model:` section of an experiment with `family: flow`."""

    pixels: ClassVar[str] = "dequantized"
    players: ClassVar[tuple[str, ...]] = ("model",)
    least_batch: ClassVar[int] = 1
    batches_a_step: ClassVar[int] = 1
    parallel: ClassVar[bool] = False

    architecture: Literal["realnvp", "nice", "multiscale"] = Field(description="the kind of couplings")
    preparation: Literal["logit", "scale"] = Field(default="logit", description="of [0, 1) for the flow")
    alpha: float | None = Field(default=None, gt=0.0, lt=0.5, description="how far the logit keeps from 0 and 1")
    couplings: Depth = Field(description="of each scale, where there are several")
    hidden: SomeWidths | None = Field(default=None, description="widths, realnvp and nice")
    channels: Channels | WidthsByProfile | None = Field(
        default=None, description="widths at a half and at a quarter of the size, multiscale"
    )
    blocks: Depth | None = Field(default=None, description="residual blocks a coupling, multiscale")
    activation_norm: bool = Field(
        default=False, description="a data-initialised affine: one for all pixels; multiscale, one a channel"
    )
    data_initialisation: bool = Field(default=False, description="of nice's factors and shifts")
    variational_dequantization: Dequantizer | None = Field(default=None, description="in place of uniform noise")

    @property
    def images(self) -> tuple[str, ...]:
        """The kinds that the architecture can model."""
        return ("grey", "colour") if self.architecture == "realnvp" else ("grey",)

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        for key in ("hidden", "channels", "blocks"):
            belongs, given = key in OWN[self.architecture], getattr(self, key) is not None
            if belongs and not given:
                raise ValueError(f"architecture {self.architecture} needs {key}")
            if given and not belongs:
                raise ValueError(f"{key} does not belong to architecture {self.architecture}: remove it")
        if (self.preparation == "logit") != (self.alpha is not None):
            raise ValueError("alpha belongs to preparation: logit, and only there")
        if self.data_initialisation and self.architecture != "nice":
            raise ValueError("data_initialisation is for architecture nice; the others have activation_norm")
        return self
