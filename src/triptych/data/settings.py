"""The section `datasets` of `params.yaml`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from triptych.core.errors import TriptychError
from triptych.core.settings_types import ByProfile, Images, Profile, Section, Seed, shown
from triptych.data.image_shapes import IMAGE_SHAPES
from triptych.data.own_images import OwnImages, describe_own

OWN = re.compile(r"own/[A-Za-z0-9][A-Za-z0-9._-]*")  # below `data/`
Several = Annotated[int, Field(ge=2, le=2_000_000)]  # a standard error needs two or more


class Splits(Section):
    """The number of images in each split."""

    train: Images
    valid: Several
    test: Several


class Dataset(Section):
    """One set of images, and how the stage `prepare` changes it."""

    images: str = Field(
        description=f"{', '.join(f'`{name}`' for name in IMAGE_SHAPES)}, or `own/` and the name of a file or a folder "
        "in `data/own`: your images"
    )
    grey: bool = Field(default=False, description="turn colour images into grey ones, as binarisation needs them")
    binarization: Literal["none", "static", "threshold", "stochastic"] = Field(
        default="none",
        description="static: drawn once, as published; threshold: at a share of full intensity; stochastic: drawn "
        "anew for each training batch, and once for evaluation",
    )
    threshold: float | None = Field(default=None, gt=0.0, lt=1.0, description="share of full intensity")
    dequantization: Literal["none", "uniform"] = Field(
        default="none", description="uniform: noise of one level, for densities"
    )
    splits: ByProfile[Splits] | None = Field(
        default=None,
        description="without: all images; each of valid and test that the source lacks is a random tenth of train",
    )
    seed: Seed = 0

    @property
    def own(self) -> bool:
        """Whether the images are the user's own, below `data/`."""
        return self.images not in IMAGE_SHAPES

    def sizes(self, profile: Profile) -> Splits | None:
        """Return the number of images in each split under a profile; None if it is that of the source."""
        return self.splits and getattr(self.splits, profile)

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
