"""The headline number of each family, of each kind of study and of classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from triptych.core.json_files import flatten, read_json
from triptych.core.project import Project
from triptych.models.common.registry import FAMILIES, FIDELITY, Headline
from triptych.studies.kinds import STUDIES

INCEPTION = "fid"  # the metric in place of `fid_classifier`, if the extractor is Inception
OTHERS = {
    "classifier": Headline("accuracy.test", "share of correctly labelled test images", True, ("valid_accuracy",)),
    "planar": Headline(
        "kl", "KL divergence between flow and density in nats", False, ("train_negative_log_likelihood", "train_kl")
    ),
    "dirac": Headline(
        "generator_distance", "distance of the measured generator from the equilibrium", False, ("train_distance",)
    ),
}
OTHER_TITLES = {**STUDIES, "classifier": "Classifiers, whose features FID, KID and IS can use"}
LIKELIHOODS = {
    "test_elbo": "ELBO {:.2f}",
    "test_log_likelihood": "log p {:.2f} nats",
    "test_bits_per_dimension": "{:.3f} bits per dimension",
}


def headline_of(family: str) -> Headline:
    """Return the headline of a family, a kind of study or classifiers; of an unknown family it is the FID."""
    return FAMILIES[family].headline if family in FAMILIES else OTHERS.get(family, FIDELITY)


def title_of(family: str) -> str:
    """Return the title of a family, a kind of study or classifiers; an unknown name is returned as it is."""
    return FAMILIES[family].title if family in FAMILIES else OTHER_TITLES.get(family, family)


def likelihood(row: Mapping[str, Any]) -> str:
    """Return the likelihoods in a row of the summary, in words; an empty string if there are none."""
    found = []
    for key, pattern in LIKELIHOODS.items():
        with suppress(ValueError):  # an empty cell, or the reason why the likelihood is not defined
            found.append(pattern.format(float(row[key])))
    return ", ".join(found)


def study_headline(project: Project, name: str) -> str:
    """Return the headline of each configuration of a study. Configurations with the same word are listed together."""
    metrics = read_json(project.results(name))
    found = {item: flatten(metrics[item])[metrics["headline"]] for item in metrics["configurations"]}
    if all(isinstance(value, str) for value in found.values()):
        items = {value: [item for item in found if found[item] == value] for value in found.values()}
        text = "; ".join(f"{value}: {', '.join(names)}" for value, names in items.items())
    else:
        text = ", ".join(f"{item} {value:.3f}" for item, value in found.items())
    return f"{text} ({metrics['headline_is']})"
