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
    each_profile,
    resolve,
)

WIDTHS = {"convolutional": 2, "residual": 4}  # length of `channels`, by architecture
IMAGES = {"convolutional": "grey", "residual": "colour"}  # kind of images, by architecture
SHIPPED = {"mnist-v1": "grey", "cifar10-v1": "colour"}  # kind of images, by classifier; see shipped.py
KNOWN_IMAGES = {"mnist-v1": ("mnist", "binarized_mnist"), "cifar10-v1": ("cifar10",)}
"""The published images whose classes each shipped classifier knows."""


class Model(Section):
    """The `model:` section of a classifier.

    classifiers:
      cifar10:
        epochs: {quick: 2, full: 24}
        batch_size: 128
        optimizer: sgd
        learning_rate: 0.2
        weight_decay: 5.0e-4
        augmentation: shift_and_mirror
        max_shift: 4
        model: {architecture: residual, channels: [32, 64, 128, 256]}
    """

    parallel: ClassVar[bool] = False

    architecture: Literal["convolutional", "residual"] = Field(
        description="`convolutional`: for grey images; `residual`: for colour images"
    )
    channels: PerProfile[Widths] = Field(description="channels: two numbers for `convolutional`, four for `residual`")
    features: Width | None = Field(
        default=None, description="`convolutional` only, required there: width of the hidden layer"
    )
    dropout: NonNegativeFloat = Field(default=0.0, lt=1.0, description="dropout rate before the logits")

    @model_validator(mode="after")
    def _keys_belong_together(self) -> Self:
        wanted = WIDTHS[self.architecture]
        if any(len(widths) != wanted for widths in each_profile(self.channels)):
            raise ValueError(f"architecture {self.architecture} needs {wanted} numbers in channels")
        if (self.features is not None) != (self.architecture == "convolutional"):
            raise ValueError("features belongs to architecture convolutional, and only there")
        return self


class Classifier(Section):
    """A classifier to train: the feature extractor of FID, KID and IS, and the counter of classes.

    classifiers:
      mnist:
        epochs: {quick: 3, full: 12}
        batch_size: 64
        optimizer: adam
        learning_rate: 3.0e-3
        augmentation: shift
        max_shift: 2
        model: {architecture: convolutional, channels: [32, 64], features: 128, dropout: 0.3}
    """

    family: ClassVar[str] = "classifier"

    epochs: ByProfile[Epochs] = Field(description="number of epochs")
    batch_size: Images = Field(description="images per update")
    optimizer: Literal["adam", "sgd"] = Field(
        description="`sgd`: with Nesterov momentum. The momentum, or the first beta of `adam`, falls from 0.95 to 0.85 "
        "and rises again"
    )
    learning_rate: Rate = Field(description="the largest learning rate of the one-cycle schedule")
    weight_decay: Weight = Field(default=0.0, description="weight decay")
    augmentation: Literal["shift", "shift_and_mirror"] = Field(
        description="`shift`: one random shift per batch; `shift_and_mirror`: a random shift and reflection per image"
    )
    max_shift: NonNegativeInt = Field(le=4, description="largest shift in pixels")
    seed: Seed = Field(default=0, description="the seed of the initial weights and of the order of images")
    model: Model = Field(description="the network")

    def model_at(self, profile: Profile) -> Model:
        """Return the `model:` section under a profile."""
        return Model.model_validate(resolve(self.model.model_dump(mode="json"), profile))
