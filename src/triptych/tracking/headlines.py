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
    curves: tuple[str, ...]
    """What shows it, or stands for it, in the course of training."""

    @property
    def direction(self) -> str:
        return f"{'higher' if self.higher_is_better else 'lower'} is better"


INCEPTION = "fid"  # the same number where Inception judges
FIDELITY = Headline(
    "fid_classifier",
    f"FID on classifier features, or `{INCEPTION}` where Inception judges",
    False,
    ("snapshot_fid_classifier", f"snapshot_{INCEPTION}"),
)
HEADLINES = {
    "vae": Headline(
        "test.log_likelihood",
        "log-likelihood of a test image, a bound in nats",
        True,
        ("valid_negative_elbo",),
    ),
    "flow": Headline(
        "test.bits_per_dimension", "bits per dimension of test images", False, ("valid_bits_per_dimension",)
    ),
    "classifier": Headline("accuracy.test", "share of test images that it labels rightly", True, ("valid_accuracy",)),
    "planar": Headline("kl", "KL divergence between flow and density, nats", False, ("negative_log_likelihood", "kl")),
    "dirac": Headline(
        "generator_distance", "distance of the judged generator from the equilibrium", False, ("distance",)
    ),
}
TITLES = {**FAMILIES, **STUDIES, "classifier": "Classifiers, whose features give FID, KID and IS a meaning"}


def headline_of(family: str) -> Headline:
    """A family that is not listed is compared by what all have: the fidelity of its samples."""
    return HEADLINES.get(family, FIDELITY)


def title_of(family: str) -> str:
    """The family, or the kind of study, in words."""
    return TITLES.get(family, family)
