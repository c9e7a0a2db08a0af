"""The headline number of each family, of each kind of study and of classifiers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from triptych.core.headline import Headline
from triptych.core.json_files import flatten
from triptych.core.number_formats import BITS_PER_DIMENSION, FID, NATS
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.models.common.registry import FAMILIES, FIDELITY, FamilyEntry
from triptych.studies.kinds import STUDIES, StudyEntry

INCEPTION = "fid"  # the metric in place of `fid_classifier`, if the extractor is Inception
CLASSIFIER = Headline("accuracy.test", "share of correctly labelled test images", True, ("valid_accuracy",))
CLASSIFIER_TITLE = "Classifiers, whose features FID, KID and IS can use"
LIKELIHOODS = {
    "elbo": f"ELBO {NATS}",
    "log_likelihood": f"log p {NATS} nats",
    "bits_per_dimension": f"{BITS_PER_DIMENSION} bits per dimension",
}
IN_TRAINING = {
    "valid_negative_elbo": (f"validation ELBO {NATS}", -1),
    "valid_bits_per_dimension": (f"validation {BITS_PER_DIMENSION} bits/dim", 1),
    "valid_accuracy": ("validation accuracy {:.1%}", 1),
}
"""For the columns of a history that show a headline: the words, and the sign of the number in them."""


def headline_of(family: str) -> Headline:
    """Return the headline of a family, a kind of study or classifiers; of an unknown family it is the FID."""
    if family == "classifier":
        return CLASSIFIER
    entry = _entry_of(family)
    return entry.headline if entry else FIDELITY


def title_of(family: str) -> str:
    """Return the title of a family, a kind of study or classifiers; an unknown name is returned as it is."""
    if family == "classifier":
        return CLASSIFIER_TITLE
    entry = _entry_of(family)
    return entry.title if entry else family


def likelihoods(test: Mapping[str, float]) -> str:
    """Return the likelihoods of test images in words; an empty string if there are none."""
    return ", ".join(pattern.format(test[key]) for key, pattern in LIKELIHOODS.items() if key in test)


def experiment_headline(metrics: Mapping[str, Any]) -> str:
    """Return the FID and the likelihoods in the metrics of an experiment, in words."""
    fid = f"FID {FID.format(metrics[name_of('fid', metrics)]['value'])}"
    return ", ".join(filter(None, [fid, likelihoods(metrics["test"])]))


def headline_in_training(family: str, row: Mapping[str, float]) -> str:
    """Return the headline number in a row of the history, in words; an empty string if training does not measure it."""
    for column in headline_of(family).curves:
        if column in row and column in IN_TRAINING:
            words, sign = IN_TRAINING[column]
            return words.format(sign * row[column])
    return ""


def study_summary(metrics: Mapping[str, Any], kind: str) -> str:
    """Return the main result of a study in a line.

    These are the numbers of configurations with each word, or the best number of each group of configurations. The
    name of a group is the part of the configurations' names before the last "-".
    """
    found = _headlines_of_study(metrics)
    if all(isinstance(value, str) for value in found.values()):
        counts = Counter(found.values())
        return f"{metrics['headline_is']}: {', '.join(f'{word} {count}' for word, count in counts.items())}"
    groups: dict[str, dict[str, float]] = {}
    for item, value in found.items():
        groups.setdefault(item.rpartition("-")[0], {})[item] = value
    headline = headline_of(kind)
    chosen = [headline.best(group) for group in groups.values()]
    return f"{headline.extreme} {metrics['headline_is']}: {', '.join(f'{item} {found[item]:.3f}' for item in chosen)}"


def study_headline(metrics: Mapping[str, Any]) -> str:
    """Return the headline of each configuration of a study. Configurations with the same word are listed together."""
    found = _headlines_of_study(metrics)
    if all(isinstance(value, str) for value in found.values()):
        items = {value: [item for item in found if found[item] == value] for value in found.values()}
        text = "; ".join(f"{value}: {', '.join(names)}" for value, names in items.items())
    else:
        text = ", ".join(f"{item} {value:.3f}" for item, value in found.items())
    return f"{text} ({metrics['headline_is']})"


def _entry_of(family: str) -> FamilyEntry | StudyEntry | None:
    return FAMILIES.get(family) or STUDIES.get(family)


def _headlines_of_study(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headline of each configuration: a number or a word."""
    return {item: flatten(metrics[item])[metrics["headline"]] for item in metrics["configurations"]}
