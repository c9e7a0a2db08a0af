"""The settings of a classifier and its training, and the names of the classifiers that ship with the package."""

from typing import ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, model_validator

from triptych.core.settings_types import (
    ByProfile,
    Epochs,
    Images,
    PerProfile,
    Profile,
    Rate,
    Section,
    Seed,
    Weight,
    Width,
    Widths,
    resolve,
)

WIDTHS = {"convolutional": 2, "residual": 4}  # length of `channels`, by architecture
IMAGES = {"convolutional": "grey", "residual": "colour"}  # kind of images, by architecture
SHIPPED = {"mnist-v1": "grey", "cifar10-v1": "colour"}  # kind of images, by classifier; see shipped.py
KNOWN_IMAGES = {
    "mnist-v1": ("mnist", "binarized_mnist"),
    "cifar10-v1": ("cifar10",),
}  # of the classes of a classifier


class Model(Section):
    """The `model:` section of a classifier."""

    parallel: ClassVar[bool] = False

    architecture: Literal["convolutional", "residual"]
    channels: PerProfile[Widths]
    features: Width | None = Field(default=None, description="width of the hidden layer, convolutional")
    dropout: NonNegativeFloat = Field(default=0.0, lt=1.0, description="dropout rate before the logits")

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        wanted, channels = WIDTHS[self.architecture], self.channels
        lists = [channels] if isinstance(channels, list) else [channels.quick, channels.full]
        if any(len(widths) != wanted for widths in lists):
            raise ValueError(f"architecture {self.architecture} needs {wanted} numbers in channels")
        if (self.features is not None) != (self.architecture == "convolutional"):
            raise ValueError("features belongs to architecture convolutional, and only there")
        return self


class Classifier(Section):
    """A classifier, which counts the classes of samples and can be the feature extractor of FID, KID and IS."""

    epochs: ByProfile[Epochs]
    batch_size: Images = Field(description="images per update")
    optimizer: Literal["adam", "sgd"]
    learning_rate: Rate = Field(description="maximum of the one-cycle schedule")
    weight_decay: Weight = 0.0
    augmentation: Literal["shift", "shift_and_mirror"] = Field(
        description="shift: per batch; shift_and_mirror: per image"
    )
    max_shift: NonNegativeInt = Field(le=4, description="largest shift in pixels")
    seed: Seed = 0
    model: Model

    def model_at(self, profile: Profile) -> Model:
        """Return the `model:` section under a profile."""
        return Model.model_validate(resolve(self.model.model_dump(mode="json"), profile))
