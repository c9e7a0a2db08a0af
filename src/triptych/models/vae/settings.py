"""The settings of a VAE."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, model_validator

from triptych.core.settings_types import PerProfile, Width, Widths
from triptych.data.image_shapes import Shape, colours
from triptych.models.common.settings import FamilySettings

ImportanceSamples = Annotated[int, Field(ge=1, le=10_000)]


class Model(FamilySettings):
    """The `model:` section of an experiment with `family: vae`.

    recipes:
      vae-20d:
        model: {latent: 10, hidden: [400, 200], activation: relu, kl_warmup: 2}
    """

    pixels: ClassVar[str] = "binary"

    latent: Width = Field(description="dimensions of the latent variable z")
    hidden: Widths = Field(
        description="widths of the hidden layers of the encoder; the decoder has them in reverse order"
    )
    activation: Literal["tanh", "relu", "elu"] = Field(description="activation of the hidden layers")
    decoder_shift: float = Field(
        default=0.0, ge=-1e4, le=1e4, description="a constant that is added to the logits of the decoder"
    )
    planar_layers: NonNegativeInt = Field(
        default=0,
        le=256,
        description="layers of the planar flow that transforms the posterior; 0: a Gaussian posterior",
    )
    kl_warmup: NonNegativeFloat = Field(
        default=0.0, le=1e6, description="number of epochs in which the weight of the KL divergence rises from 0 to 1"
    )
    importance_samples: PerProfile[ImportanceSamples] = Field(
        default=1, description="draws of z per image in the training bound; with more than one, the model is an IWAE"
    )

    def misfit(self, shape: Shape) -> str:
        return "" if colours(shape) == "grey" else "a VAE models grey images: convert them"

    @model_validator(mode="after")
    def _warm_up_needs_the_elbo(self) -> Self:
        if self.kl_warmup and self.importance_samples != 1:
            raise ValueError(
                "kl_warmup weights the KL of the ELBO, but with several importance_samples the bound has no KL term: "
                "set only one of the two"
            )
        return self
