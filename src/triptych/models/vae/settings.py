"""The settings of a VAE."""

from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from triptych.schema import Section


class Model(Section):
    """The `model:` section of an experiment with `family: vae`."""

    pixels: ClassVar[str] = "binary"
    players: ClassVar[tuple[str, ...]] = ("model",)

    latent: PositiveInt
    hidden: list[PositiveInt]
    activation: Literal["tanh", "relu", "elu"]
    decoder_shift: float = Field(description="added to the decoder's logits")
    planar_layers: NonNegativeInt = Field(default=0, description="of the flow that the posterior goes through")
    kl_warmup: NonNegativeFloat = Field(default=0.0, description="epochs over which the KL's weight grows to one")
    importance_samples: PositiveInt = Field(default=1, description="draws in the bound; more than one is an IWAE")

    @model_validator(mode="after")
    def _warm_up_has_something_to_weigh(self) -> Self:
        if self.kl_warmup and self.importance_samples > 1:
            raise ValueError(
                "kl_warmup weighs the KL of the ELBO, which the bound of several importance_samples does not have: "
                "set one of the two"
            )
        return self
