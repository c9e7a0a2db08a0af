"""The settings of a GAN."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from triptych.core.settings_types import Depth, PerProfile, SomeWidths, Weight, Width
from triptych.data.image_shapes import Shape
from triptych.models.common.settings import FamilySettings

KEYS = {  # by architecture
    "mlp": ["discriminator", "dropout", "generator", "label_noise", "leak"],
    "resnet": ["critic_steps", "generator_loss", "loss_type", "reg_cf", "reg_type", "spectral_normalization", "width"],
}

SIDES = (32, 64)  # of images, resnet

OFF = {  # options that are off unless the settings say otherwise, by architecture
    "mlp": {"dropout": 0.0, "label_noise": 0.0},
    "resnet": {"generator_loss": "metric", "reg_type": "none", "reg_cf": 0.0, "spectral_normalization": False},
}


class Model(FamilySettings):
    """The `model:` section of an experiment with `family: gan`.

    recipes:
      sngan:
        model: {architecture: resnet, latent: 100, width: 64, loss_type: jsd, critic_steps: 2}
    experiments:
      gan-mnist:
        model: {generator: [256, 512], discriminator: [512, 256], leak: 0.2}
    """

    least_batch: ClassVar[int] = 2  # batch normalisation needs two examples

    architecture: Literal["mlp", "resnet"] = Field(
        description="`mlp`: fully connected, for any images; `resnet`: residual networks as in SNGAN, for images of 32 "
        "by 32 or 64 by 64 pixels"
    )
    latent: Width = Field(description="dimensions of the latent variable z")

    generator: PerProfile[SomeWidths] | None = Field(
        default=None, description="`mlp` only, required there: widths of the hidden layers of the generator"
    )
    discriminator: PerProfile[SomeWidths] | None = Field(
        default=None, description="`mlp` only, required there: widths of the hidden layers of the discriminator"
    )
    leak: PositiveFloat | None = Field(
        default=None, lt=1.0, description="`mlp` only, required there: slope of LeakyReLU below zero"
    )
    dropout: NonNegativeFloat | None = Field(
        default=None, lt=1.0, description="`mlp` only: dropout rate in the discriminator; off: 0"
    )
    label_noise: NonNegativeFloat | None = Field(
        default=None, lt=0.5, description="`mlp` only: share of flipped labels in the loss of the discriminator; off: 0"
    )

    width: PerProfile[Width] | None = Field(
        default=None, description="`resnet` only, required there: channels of both networks"
    )
    loss_type: Literal["jsd", "w1"] | None = Field(
        default=None,
        description="`resnet` only, required there: what the critic estimates, the Jensen-Shannon divergence or the "
        "Wasserstein distance",
    )
    generator_loss: Literal["metric", "non_saturating"] | None = Field(
        default=None,
        description="`resnet` only: `metric`: the estimate of the critic; `non_saturating`: the usual loss, only with "
        "`jsd`; off: `metric`",
    )
    reg_type: Literal["none", "ogp", "r1gp"] | None = Field(
        default=None, description="`resnet` only: gradient penalty: none, one-centred or R1; off: `none`"
    )
    reg_cf: Weight | None = Field(
        default=None, description="`resnet` only: coefficient of the penalty; off: 0, which goes with `none`"
    )
    spectral_normalization: bool | None = Field(
        default=None, description="`resnet` only: spectral normalisation of the critic; off: `false`"
    )
    critic_steps: Depth | None = Field(
        default=None, description="`resnet` only, required there: critic steps per generator step"
    )

    @model_validator(mode="before")
    @classmethod
    def _options_are_off(cls, data: Any) -> Any:  # noqa: ANN401 (any YAML value)
        if not isinstance(data, dict) or data.get("architecture") not in tuple(OFF):
            return data
        return OFF[data["architecture"]] | {key: value for key, value in data.items() if value is not None}

    def misfit(self, shape: Shape) -> str:
        fits = self.architecture == "mlp" or shape[-1] in SIDES
        return "" if fits else f"architecture resnet is for {' or '.join(map(str, SIDES))} pixels per side"

    @property
    def batches_per_step(self) -> int:
        """Batches of real images that one update consumes."""
        return self.critic_steps or 1

    @property
    def parallel(self) -> bool:
        return self.architecture == "resnet"

    @property
    def players(self) -> tuple[str, ...]:
        return ("generator", "critic" if self.architecture == "resnet" else "discriminator")

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        self.require_keys(KEYS)
        if self.reg_type is not None and (self.reg_type == "none") != (self.reg_cf == 0.0):
            raise ValueError(
                f"reg_cf is {self.reg_cf:g} with reg_type {self.reg_type}: none goes with 0, a penalty with more than 0"
            )
        if self.loss_type == "w1" and self.generator_loss == "non_saturating":
            raise ValueError("generator_loss is non_saturating, which belongs to loss_type jsd: remove it with w1")
        return self
