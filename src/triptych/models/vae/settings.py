"""The settings of a VAE."""

from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from triptych.core.schema import Section, Width, Widths


class Model(Section):
    """The `model:` section of an experiment with `family: vae`."""

    pixels: ClassVar[str] = "binary"
    players: ClassVar[tuple[str, ...]] = ("model",)
    images: ClassVar[tuple[str, ...]] = ("grey", "colour")
    least_batch: ClassVar[int] = 1
    batches_a_step: ClassVar[int] = 1
    parallel: ClassVar[bool] = False

    latent: Width = Field(description="dimensions of z")
    hidden: Widths = Field(description="of the encoder's hidden layers; the decoder has them in reverse")
    activation: Literal["tanh", "relu", "elu"] = Field(description="of the hidden layers")
    decoder_shift: float = Field(default=0.0, ge=-1e4, le=1e4, description="added to the decoder's logits")
    planar_layers: NonNegativeInt = Field(default=0, le=256, description="of the flow that the posterior goes through")
    kl_warmup: NonNegativeFloat = Field(default=0.0, le=1e6, description="epochs until the KL counts whole")
    importance_samples: PositiveInt = Field(default=1, le=10_000, description="draws in the bound; more than one: IWAE")

    @model_validator(mode="after")
    def _warm_up_has_something_to_weigh(self) -> Self:
        if self.kl_warmup and self.importance_samples > 1:
            raise ValueError(
                "kl_warmup weighs the KL of the ELBO, which the bound of several importance_samples does not have: "
                "set one of the two"
            )
        return self
