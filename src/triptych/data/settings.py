"""The section `datasets` of `params.yaml`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from triptych.core.errors import TriptychError
from triptych.core.settings_types import ByProfile, Images, Profile, Section, Seed, shown, value_at
from triptych.data.image_shapes import IMAGE_SHAPES
from triptych.data.own_images import OwnImages, describe_own

OWN = re.compile(r"own/[A-Za-z0-9][A-Za-z0-9._-]*")  # below `data/`
LEAST = 4  # images of validation and test: precision and recall use the third nearest other image
Several = Annotated[int, Field(ge=LEAST, le=2_000_000)]


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

    images: str = Field(
        description=f"the images that the stage `fetch` gets: {', '.join(f'`{name}`' for name in IMAGE_SHAPES)}, or "
        "`own/` and the name of a file or a folder in `data/own`"
    )
    grey: bool = Field(default=False, description="`true`: turn colour images into grey ones, which binarisation needs")
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
    splits: ByProfile[Splits] | None = Field(
        default=None,
        description="the number of images in each split; off: all images",
    )
    seed: Seed = Field(default=0, description="the seed of the split and of the drawn noise")

    @property
    def own(self) -> bool:
        """Whether the images are the user's own, below `data/`."""
        return self.images not in IMAGE_SHAPES

    def sizes(self, profile: Profile) -> Splits | None:
        """Return the number of images in each split under a profile; None if it is that of the source."""
        return value_at(self.splits, profile)

    def described(self, data: Path | None) -> OwnImages | None:
        """Return what the headers of own images in the folder `data` say; None if they cannot be read."""
        try:
            return describe_own(data / self.images) if data and self.own else None
        except (TriptychError, OSError):
            return None

    @field_validator("images")
    @classmethod
    def _images_are_known(cls, images: str) -> str:
        if images not in IMAGE_SHAPES and not OWN.fullmatch(images):
            known = ", ".join(IMAGE_SHAPES)
            raise ValueError(f"unknown images {shown(images)}; known: {known}, and own/ with a name in data/own")
        return images

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
