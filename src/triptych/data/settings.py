"""The section `datasets` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from triptych.core.settings_types import ByProfile, Images, Profile, Section, Seed

Several = Annotated[int, Field(ge=2, le=2_000_000)]  # a standard error needs two or more


class Splits(Section):
    """The number of images in each split."""

    train: Images
    valid: Several
    test: Several


class Dataset(Section):
    """One set of images, and how the stage `prepare` changes it."""

    images: Literal["mnist", "binarized_mnist", "cifar10"] = Field(description="the images to fetch")
    binarization: Literal["none", "static", "threshold", "stochastic"] = Field(
        default="none",
        description="static: drawn once, as published; threshold: at a share of full intensity; stochastic: drawn "
        "anew for each training batch, and once for evaluation",
    )
    threshold: float | None = Field(default=None, gt=0.0, lt=1.0, description="share of full intensity")
    dequantization: Literal["none", "uniform"] = Field(
        default="none", description="uniform: noise of one level, for densities"
    )
    splits: ByProfile[Splits]
    seed: Seed = 0

    @property
    def kind(self) -> str:
        """The kind of the images: `grey` (28, 28) or `colour` (3, 32, 32)."""
        return "colour" if self.images == "cifar10" else "grey"

    def sizes(self, profile: Profile) -> Splits:
        """Return the number of images in each split under a profile."""
        return getattr(self.splits, profile)

    @model_validator(mode="after")
    def _preparation_is_possible(self) -> Self:
        if self.images == "binarized_mnist" and self.binarization != "static":
            raise ValueError(
                f"binarization is {self.binarization}, but the draws of binarized_mnist are fixed: write static, or "
                "use images: mnist"
            )
        if (self.binarization == "threshold") != (self.threshold is not None):
            raise ValueError("threshold is for binarization: threshold, and required there")
        if self.binarization != "none" and self.dequantization != "none":
            raise ValueError(
                "dequantization is for 8-bit images, binarization makes binary ones: leave one of them out"
            )
        return self
