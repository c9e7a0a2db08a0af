"""The settings of an evaluation: fidelity, likelihood, and the real images to compare with."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from triptych.core.schema import Draws, Profile, Section, resolve


class Fidelity(Section):
    """The protocol of FID, KID and IS."""

    samples: PositiveInt = Field(ge=10, le=1_000_000, description="generated images; IS splits them in ten")
    kid_subsets: PositiveInt = Field(le=10_000, description="random subsets that KID averages over")
    kid_subset_size: PositiveInt = Field(ge=2, le=10_000, description="images in each of these subsets")
    confidence: float = Field(gt=0.0, lt=1.0, description="of the classifier, from which a sample counts as recognised")

    @model_validator(mode="after")
    def _subsets_fit(self) -> Self:
        if self.kid_subset_size > self.samples:
            raise ValueError(
                f"kid_subset_size is {self.kid_subset_size}, more than the {self.samples} samples it draws from"
            )
        return self


class Likelihood(Section):
    """How likelihoods are estimated where a model has none in closed form."""

    importance_samples: Draws = Field(description="draws an image, for the log-likelihood of a VAE")
    train_images: PositiveInt = Field(ge=2, le=2_000_000, description="the first training images, standing for all")


Extractor = Literal["classifier", "inception"]


class ExtractorByProfile(Section):
    """Inception takes a download and a GPU: not for every profile."""

    quick: Extractor
    full: Extractor


class Reference(Section):
    """Real images that generated ones are compared with, and whose features tell them apart."""

    dataset: str = Field(description="an entry of `datasets` that has a classifier")
    split: Literal["train", "test"] = Field(description="whose images are compared with")
    extractor: Extractor | ExtractorByProfile = Field(description="whose features tell images apart")

    def extractor_at(self, profile: Profile) -> Extractor:
        """The extractor under a profile."""
        return resolve(self.model_dump(mode="json"), profile)["extractor"]
