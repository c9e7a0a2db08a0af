"""The settings of a classifier's network."""

from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, model_validator

from triptych.core.schema import Budget, Images, Profile, Rate, Section, Seed, Weight, Width, Widths, resolve

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
    dropout: NonNegativeFloat = Field(default=0.0, lt=1.0, description="before the logits")

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        wanted, channels = WIDTHS[self.architecture], self.channels
        lists = [channels] if isinstance(channels, list) else [channels.quick, channels.full]
        if any(len(widths) != wanted for widths in lists):
            raise ValueError(f"channels of architecture {self.architecture} are {wanted} numbers")
        if (self.features is not None) != (self.architecture == "convolutional"):
            raise ValueError("features belongs to architecture convolutional, and only there; residual has channels[3]")
        return self


class Classifier(Section):
    """What names the classes of images, and may be the feature extractor behind FID, KID and IS."""

    epochs: Budget
    batch_size: Images = Field(description="images of an update")
    optimizer: Literal["adam", "sgd"]
    learning_rate: Rate = Field(description="the largest, of one cycle")
    weight_decay: Weight = 0.0
    augmentation: Literal["shift", "shift_and_mirror"] = Field(description="of a batch, or of each image by itself")
    max_shift: NonNegativeInt = Field(le=4, description="pixels")
    seed: Seed
    model: Model

    def model_at(self, profile: Profile) -> Model:
        """The `model:` section under a profile."""
        return Model.model_validate(resolve(self.model.model_dump(mode="json"), profile))
