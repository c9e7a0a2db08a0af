"""What MLflow's lists are sorted by: of each family, and of each kind of study, one number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from triptych.core.json_files import flatten, read_json
from triptych.core.project import Project
from triptych.models.common.registry import FAMILIES
from triptych.studies.kinds import STUDIES


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


def likelihood(row: Mapping[str, object]) -> str:
    """What a row knows of likelihoods; nothing where the model has none."""
    found = [
        _number(row["test_elbo"], "ELBO {:.2f}"),
        _number(row["test_log_likelihood"], "log p {:.2f} nats"),
        _number(row["test_bits_per_dimension"], "{:.3f} bits per dimension"),
    ]
    return ", ".join(filter(None, found))


def study_headline(project: Project, name: str) -> str:
    """The headline of each configuration: its number, or where that is a word, who shares it."""
    metrics = read_json(project.metrics(name))
    found = {item: flatten(metrics[item])[metrics["headline"]] for item in metrics["configurations"]}
    if all(isinstance(value, str) for value in found.values()):
        sharing = {value: [item for item in found if found[item] == value] for value in found.values()}
        words = "; ".join(f"{value}: {', '.join(items)}" for value, items in sharing.items())
    else:
        words = ", ".join(f"{item} {value:.3f}" for item, value in found.items())
    return f"{words} ({metrics['headline_is']})"


def _number(cell: object, pattern: str) -> str | None:
    try:
        return pattern.format(float(str(cell)))
    except ValueError:
        return None
