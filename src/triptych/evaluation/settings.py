"""The settings of an evaluation: fidelity, likelihood, and the real images that samples are compared with."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from triptych.core.settings_types import PROFILES, Draws, PerProfile, Profile, Section, value_at
from triptych.models.classifier.settings import KNOWN_IMAGES, SHIPPED

LEAST_RESAMPLINGS = 10  # for a standard error


class Fidelity(Section):
    """The protocol of FID, KID and IS.

    profiles:
      quick:
        fidelity: {samples: 1000, kid_subsets: 50, kid_subset_size: 200, resamplings: 0}
    """

    samples: PositiveInt = Field(
        ge=10, le=1_000_000, description="number of generated images; IS splits them into ten parts"
    )
    kid_subsets: PositiveInt = Field(le=10_000, description="number of random subsets that KID averages over")
    kid_subset_size: PositiveInt = Field(
        ge=2, le=10_000, description="images in each subset, at most `samples`; fewer if there are fewer real images"
    )
    resamplings: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="bootstrap resamplings for standard errors and 95 % intervals: 10 or more, or 0 for no intervals",
    )
    confidence: float = Field(
        default=0.9,
        gt=0.0,
        lt=1.0,
        description="the least confidence of the classifier at which a sample counts as recognised",
    )

    @model_validator(mode="after")
    def _subsets_fit(self) -> Self:
        if self.kid_subset_size > self.samples:
            raise ValueError(f"kid_subset_size is {self.kid_subset_size}, more than the {self.samples} samples")
        return self

    @field_validator("resamplings")
    @classmethod
    def _enough_or_none(cls, value: int) -> int:
        if 0 < value < LEAST_RESAMPLINGS:
            raise ValueError(f"{value} are too few: use {LEAST_RESAMPLINGS} or more, or 0 to do without intervals")
        return value


class Likelihood(Section):
    """How likelihoods are estimated.

    profiles:
      full:
        likelihood: {importance_samples: 1000, train_images: 10000}
    """

    importance_samples: Draws = Field(description="draws of z per image for the log-likelihood of a VAE")
    train_images: PositiveInt = Field(
        ge=2,
        le=2_000_000,
        description="the likelihood of the training set is measured on this many of its first images, or on all if it "
        "has fewer",
    )


Shipped = Literal["mnist-v1", "cifar10-v1"]
ExtractorName = Literal[Shipped, "inception"]


Classes = Literal[Shipped, "none"]


class Reference(Section):
    """Real images that samples are compared with, and the networks that extract features and name classes.

    references:
      cifar10-offline:
        dataset: cifar10
        extractor: cifar10-v1
        classes: {quick: none, full: cifar10-v1}
    """

    dataset: str = Field(description="the name of an entry of `datasets`")
    split: Literal["train", "test"] = Field(
        default="test", description="the split whose images samples are compared with"
    )
    extractor: PerProfile[ExtractorName] = Field(description="the network whose features are compared")
    classes: PerProfile[Classes] | None = Field(
        default=None,
        description="the classifier that names the classes of samples, if it is not the extractor; `none`: classes are "
        "not counted",
    )
    published_samples: PositiveInt | None = Field(
        default=None,
        ge=10,
        le=1_000_000,
        description="number of samples for a second comparison, with all images of `train` and `valid`, as in "
        "published tables; only in profile `full` with `inception`",
    )

    def extractor_at(self, profile: Profile) -> ExtractorName:
        """Return the extractor under a profile."""
        return value_at(self.extractor, profile)

    def classifier_at(self, profile: Profile) -> Shipped:
        """Return the classifier that names classes under a profile, or whose features stand in for it."""
        named = self._classes_at(profile)
        return named if named in SHIPPED else self.extractor_at(profile)

    def names_classes_at(self, profile: Profile, images: str) -> bool:
        """Return whether the classifier names the classes of these images under a profile."""
        return self._classes_at(profile) != "none" and images in KNOWN_IMAGES[self.classifier_at(profile)]

    def _classes_at(self, profile: Profile) -> Classes | None:
        return value_at(self.classes, profile)

    def published_at(self, profile: Profile) -> int:
        """Return the number of samples for the comparison of published tables; 0 if it is not made."""
        made = profile == "full" and self.extractor_at(profile) == "inception"
        return self.published_samples or 0 if made else 0

    @model_validator(mode="after")
    def _classes_are_named(self) -> Self:
        for profile in PROFILES:
            extractor, named = self.extractor_at(profile), self._classes_at(profile)
            if extractor == "inception" and named not in SHIPPED:
                raise ValueError("inception does not know the classes of these images; set classes to a classifier")
            if extractor != "inception" and named not in (None, "none", extractor):
                raise ValueError(f"classes is {named}, but the extractor {extractor} names classes itself")
        return self
