"""The settings of a VAE."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, model_validator

from triptych.core.settings_types import PerProfile, Width, Widths
from triptych.models.common.settings import FamilySettings

ImportanceSamples = Annotated[int, Field(ge=1, le=10_000)]


class Model(FamilySettings):
    """The `model:` section of an experiment with `family: vae`."""

    pixels: ClassVar[str] = "binary"

    latent: Width = Field(description="dimensions of the latent variable z")
    hidden: Widths = Field(description="widths of the encoder's hidden layers; the decoder has them in reverse order")
    activation: Literal["tanh", "relu", "elu"] = Field(description="activation of the hidden layers")
    decoder_shift: float = Field(
        default=0.0, ge=-1e4, le=1e4, description="constant that is added to the decoder's logits"
    )
    planar_layers: NonNegativeInt = Field(
        default=0, le=256, description="layers of the planar flow that transforms the posterior"
    )
    kl_warmup: NonNegativeFloat = Field(
        default=0.0, le=1e6, description="epochs during which the weight of the KL rises from 0 to 1"
    )
    importance_samples: PerProfile[ImportanceSamples] = Field(
        default=1, description="draws of z per image in the bound; with more than one it is an IWAE"
    )

    @model_validator(mode="after")
    def _warm_up_needs_the_elbo(self) -> Self:
        if self.kl_warmup and self.importance_samples != 1:
            raise ValueError(
                "kl_warmup weights the KL of the ELBO, but with several importance_samples the bound has no KL term: "
                "set only one of the two"
            )
        return self
