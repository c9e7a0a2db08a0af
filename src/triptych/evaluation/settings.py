"""The settings of an evaluation: fidelity, likelihood, and the real images that samples are compared with."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from triptych.core.settings_types import Draws, Profile, Section, resolve


class Fidelity(Section):
    """The protocol of FID, KID and IS."""

    samples: PositiveInt = Field(ge=10, le=1_000_000, description="generated images; IS splits them into ten parts")
    kid_subsets: PositiveInt = Field(le=10_000, description="random subsets that KID averages over")
    kid_subset_size: PositiveInt = Field(ge=2, le=10_000, description="images per subset")
    confidence: float = Field(
        default=0.9, gt=0.0, lt=1.0, description="classifier confidence above which a sample counts as recognised"
    )

    @model_validator(mode="after")
    def _subsets_fit(self) -> Self:
        if self.kid_subset_size > self.samples:
            raise ValueError(f"kid_subset_size is {self.kid_subset_size}, more than the {self.samples} samples")
        return self


class Likelihood(Section):
    """How likelihoods are estimated for models without a closed form."""

    importance_samples: Draws = Field(description="samples per image for the log-likelihood of a VAE")
    train_images: PositiveInt = Field(
        ge=2,
        le=2_000_000,
        description="number of training images, the first ones, used for the training set's likelihood",
    )


Extractor = Literal["classifier", "inception"]


class ExtractorByProfile(Section):
    """The extractor under each profile, since Inception needs a download and a GPU."""

    quick: Extractor
    full: Extractor


class Reference(Section):
    """Real images that samples are compared with, and the network that extracts features."""

    dataset: str = Field(description="an entry of `datasets` that has a classifier")
    split: Literal["train", "test"] = Field(
        default="test", description="the split whose images samples are compared with"
    )
    extractor: Extractor | ExtractorByProfile = Field(description="the network whose features are compared")

    def extractor_at(self, profile: Profile) -> Extractor:
        """Return the extractor under a profile."""
        return resolve(self.model_dump(mode="json"), profile)["extractor"]
