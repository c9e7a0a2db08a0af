"""The settings of a classifier's network."""

from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, model_validator

from triptych.schema import Section, Width, Widths

WIDTHS = {"convolutional": 2, "residual": 4}  # entries of `channels` by architecture


IMAGES = {"convolutional": "grey", "residual": "colour"}  # that an architecture takes


class ChannelsByProfile(Section):
    """Narrower networks where the budget is small."""

    quick: Widths
    full: Widths


class Model(Section):
    """The `model:` section of a classifier."""

    parallel: ClassVar[bool] = False

    architecture: Literal["convolutional", "residual"]
    channels: Widths | ChannelsByProfile
    features: Width | None = Field(default=None, description="of the hidden layer, convolutional")
    dropout: NonNegativeFloat = Field(lt=1.0, description="before the logits")

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        wanted, channels = WIDTHS[self.architecture], self.channels
        lists = [channels] if isinstance(channels, list) else [channels.quick, channels.full]
        if any(len(widths) != wanted for widths in lists):
            raise ValueError(f"channels of architecture {self.architecture} are {wanted} numbers")
        if (self.features is not None) != (self.architecture == "convolutional"):
            raise ValueError("features belongs to architecture convolutional, and only there; residual has channels[3]")
        return self
