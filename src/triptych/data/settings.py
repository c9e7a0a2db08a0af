"""The section `datasets` of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from triptych.core.settings_types import ByProfile, Images, Profile, Section, Seed

Several = Annotated[int, Field(ge=2, le=2_000_000)]  # a standard error needs two or more


class Splits(Section):
    """The number of images in each split.

    datasets:
      mnist:
        splits: {full: {train: 55000, valid: 5000, test: 10000}}
    """

    train: Images = Field(description="images that the weights are trained on")
    valid: Several = Field(description="images for validation during training")
    test: Several = Field(description="images for the numbers of the evaluation")


class Dataset(Section):
    """One set of images, and how the stage `prepare` changes it.

    datasets:
      sketches:
        images: mnist
        binarization: threshold
        threshold: 0.5
        splits:
          quick: {train: 5000, valid: 1000, test: 1000}
          full: {train: 50000, valid: 10000, test: 10000}
    """

    images: Literal["mnist", "binarized_mnist", "cifar10"] = Field(description="the images that the stage `fetch` gets")
    binarization: Literal["none", "static", "threshold", "stochastic"] = Field(
        default="none",
        description="`static`: drawn once, as published; `threshold`: 1 from a given intensity on; `stochastic`: drawn "
        "again for each training batch, and once for evaluation",
    )
    threshold: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="with `binarization: threshold`: the share of full intensity from which a pixel is 1",
    )
    dequantization: Literal["none", "uniform"] = Field(
        default="none", description="`uniform`: add noise of one grey level, which flows need"
    )
    splits: ByProfile[Splits] = Field(description="the number of images in each split")
    seed: Seed = Field(default=0, description="the seed of the split and of the drawn noise")

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
