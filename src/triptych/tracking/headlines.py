"""What MLflow's lists are sorted by: of each family, and of each kind of study, one number."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.models.registry import FAMILIES
from triptych.studies.registry import STUDIES


@dataclass(frozen=True)
class Headline:
    """A metric that all runs of a family have in common."""

    metric: str
    words: str
    higher_is_better: bool

    @property
    def direction(self) -> str:
        return f"{'higher' if self.higher_is_better else 'lower'} is better"


FIDELITY = Headline("fid_classifier", "FID on a classifier's features; `fid` where Inception's were used", False)
HEADLINES = {
    "vae": Headline("test.log_likelihood", "log-likelihood of test images, nats an image, estimated from below", True),
    "flow": Headline("test.bits_per_dimension", "bits per dimension of test images", False),
    "classifier": Headline("accuracy.test", "share of test images that it labels rightly", True),
    "planar": Headline("kl", "KL divergence between flow and density, nats", False),
    "dirac": Headline("generator_distance", "distance of the judged generator from the equilibrium", False),
}
TITLES = {**FAMILIES, **STUDIES, "classifier": "Classifiers, whose features give FID, KID and IS a meaning"}


def headline_of(family: str) -> Headline:
    """A family that is not listed is compared by what all have: the fidelity of its samples."""
    return HEADLINES.get(family, FIDELITY)


def title_of(family: str) -> str:
    """The family, or the kind of study, in words."""
    return TITLES.get(family, family)
