"""The sections `datasets` and `embedded` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, model_validator

from triptych.core.schema import Images, Profile, Section, Seed

Several = Annotated[int, Field(ge=2, le=2_000_000)]  # a standard error needs two


class Splits(Section):
    """The number of images in each split."""

    train: Images
    valid: Several
    test: Several


class SplitsByProfile(Section):
    """The number of images in each split under each profile."""

    quick: Splits
    full: Splits


class Embedded(Section):
    """The random rotation and shift by which scikit-learn's digits become a large training set."""

    max_shift: NonNegativeInt = Field(le=4, description="pixels")
    max_rotation: NonNegativeFloat = Field(le=45.0, description="degrees")
    contrast: PositiveFloat = Field(ge=1.0, le=100.0, description="factor about mid-grey, against blur")
    seed: Seed


class Dataset(Section):
    """An image set, and how the prepare stage splits, binarises and dequantises it."""

    images: Literal["mnist", "binarized_mnist", "cifar10"] = Field(description="the image set that is fetched")
    binarization: Literal["none", "static", "threshold", "stochastic"] = Field(
        default="none",
        description="static: published or drawn once; threshold: at a share of full intensity; stochastic: drawn "
        "anew at each use in training, once for evaluation",
    )
    threshold: float | None = Field(default=None, gt=0.0, lt=1.0, description="share of full intensity")
    dequantization: Literal["none", "uniform"] = Field(
        default="none", description="uniform: noise of one level, for densities"
    )
    splits: SplitsByProfile
    seed: Seed

    @property
    def kind(self) -> str:
        """The kind of the images: `grey` (28, 28), or `colour` (3, 32, 32)."""
        return "colour" if self.images == "cifar10" else "grey"

    def sizes(self, profile: Profile) -> Splits:
        """Return the number of images in each split under a profile."""
        return getattr(self.splits, profile)

    @model_validator(mode="after")
    def _preparation_is_possible(self) -> Self:
        if self.images == "binarized_mnist" and self.binarization != "static":
            raise ValueError(
                f"binarization is {self.binarization}, but binarized_mnist is published with its draws fixed: "
                "write static here, or take images: mnist"
            )
        if (self.binarization == "threshold") != (self.threshold is not None):
            raise ValueError("threshold belongs to binarization: threshold, and only there")
        if self.binarization != "none" and self.dequantization != "none":
            raise ValueError(
                "dequantization is for 8-bit images, not for binarised ones: write none for one of the two"
            )
        return self
