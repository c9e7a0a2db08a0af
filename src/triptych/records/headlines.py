"""The headline metric of each family and of each kind of study, and headline results as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from triptych.core.json_files import flatten, read_json
from triptych.core.project import Project
from triptych.models.registry import FAMILIES
from triptych.studies.kinds import STUDIES


@dataclass(frozen=True)
class Headline:
    """The metric by which the runs of a family are sorted."""

    metric: str
    words: str
    higher_is_better: bool
    curves: tuple[str, ...]
    """Metrics over the course of training: the headline metric, or related ones."""

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
    """Return the headline of a family; for a family without an entry, the fidelity of its samples."""
    return HEADLINES.get(family, FIDELITY)


def title_of(family: str) -> str:
    """Return the title of a family or of a kind of study."""
    return TITLES.get(family, family)


def likelihood(row: Mapping[str, object]) -> str:
    """Return the likelihoods in a row of the summary as text; empty if the model has none."""
    found = [
        _number(row["test_elbo"], "ELBO {:.2f}"),
        _number(row["test_log_likelihood"], "log p {:.2f} nats"),
        _number(row["test_bits_per_dimension"], "{:.3f} bits per dimension"),
    ]
    return ", ".join(filter(None, found))


def study_headline(project: Project, name: str) -> str:
    """Return the headline of each configuration of a study: its number, or its verdict with all configurations."""
    metrics = read_json(project.metrics(name))
    found = {item: flatten(metrics[item])[metrics["headline"]] for item in metrics["configurations"]}
    if all(isinstance(value, str) for value in found.values()):
        items = {value: [item for item in found if found[item] == value] for value in found.values()}
        text = "; ".join(f"{value}: {', '.join(names)}" for value, names in items.items())
    else:
        text = ", ".join(f"{item} {value:.3f}" for item, value in found.items())
    return f"{text} ({metrics['headline_is']})"


def _number(cell: object, pattern: str) -> str | None:
    try:
        return pattern.format(float(str(cell)))
    except ValueError:
        return None
