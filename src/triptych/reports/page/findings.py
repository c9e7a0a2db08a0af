"""Answers to the documents' questions, generated from the numbers of the runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from triptych.core.json_files import flatten
from triptych.core.number_formats import BITS_PER_DIMENSION, FID, NATS
from triptych.core.settings_types import Profile
from triptych.evaluation.fidelity.metric_names import FID_LABELS, name_of
from triptych.evaluation.intervals import in_words, interval_of, overlap, plus_minus, verdict
from triptych.evaluation.over_seeds import Spread, differ
from triptych.evaluation.presentation import presentation_of
from triptych.models.common.registry import FAMILIES
from triptych.settings.experiment import Experiment
from triptych.settings.params import Settings

Metrics = Mapping[str, Mapping[str, Any]]


def findings(
    settings: Settings, metrics: Metrics, studies: Metrics, table: Sequence[Mapping[str, Any]] = ()
) -> list[tuple[str, list[str]]]:
    """Return each question that the numbers can answer, with the sentences of the answer.

    `metrics` are the metrics of experiments and `studies` those of studies, both by name. `table` are the rows of the
    comparison, with means and deviations over seeds.
    """
    kept = {name: item for name, item in settings.experiments.items() if name in metrics}
    answers = [
        *_of_families(kept, metrics),
        ("What do more layers improve in a planar flow?", _planar_layers(settings, studies)),
        ("How do the families compare?", _comparison(settings, kept, metrics)),
        ("Are the differences larger than those between seeds?", _differences_over_seeds(table)),
    ]
    return [(question, found) for question, sentences in answers if (found := list(sentences))]


def _of_families(kept: Mapping[str, Experiment], metrics: Metrics) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the question and the answer of each family."""
    for family in FAMILIES:
        experiments = {name: experiment for name, experiment in kept.items() if experiment.family == family}
        presentation = presentation_of(family)
        yield presentation.question, presentation.findings(experiments, {name: metrics[name] for name in experiments})


def _planar_layers(settings: Settings, studies: Metrics) -> Iterator[str]:
    for name, study in settings.studies.items():
        if study.study != "planar" or name not in studies:
            continue
        found = studies[name]
        for density, depths in _depths(found["configurations"]).items():
            if len(depths) == 1:
                continue
            numbers = {k: flatten(found[f"{density}-k{k}"]) for k in depths}
            yield f"{name}, {density}: {found['headline_is']}: {_course(numbers, found['headline'])}."


def _course(numbers: Mapping[int, Mapping[str, Any]], headline: str) -> str:
    """Return the headline by number of layers, and the steps whose improvement the intervals do not support."""
    course = ", ".join(f"{found[headline]:.3f} with {k} layers" for k, found in numbers.items())
    worse = [
        str(after)
        for before, after in pairwise(numbers)
        if numbers[after][headline] >= numbers[before][headline]
        or overlap(*(interval_of(numbers[k], headline) for k in (before, after)))
    ]
    return f"{course}; " + (
        f"no clear improvement at {' and '.join(worse)}" if worse else "each step is an improvement with this seed"
    )


def _depths(configurations: Iterable[str]) -> dict[str, list[int]]:
    """Return the numbers of layers by density, from names such as `arcs-k8`."""
    found: dict[str, list[int]] = {}
    for configuration in configurations:
        density, _, depth = configuration.rpartition("-k")
        found[density] = sorted([*found.get(density, []), int(depth)])
    return found


def _comparison(settings: Settings, kept: Mapping[str, Experiment], metrics: Metrics) -> Iterator[str]:
    for reference in dict.fromkeys(metrics[name]["reference"]["name"] for name in kept):
        names = [name for name in kept if metrics[name]["reference"]["name"] == reference]
        yield _best_fidelity({name: kept[name] for name in names}, metrics, settings.profile)
    for dataset in dict.fromkeys(experiment.dataset for experiment in kept.values()):
        names = [name for name in kept if kept[name].dataset == dataset]
        yield from _best_likelihood(dataset, {name: metrics[name]["test"] for name in names})
    without = [name for name in kept if "log_likelihood" not in metrics[name]["test"]]
    if without:
        yield f"Without a likelihood: {', '.join(without)} ({metrics[without[0]]['not_defined']['log_likelihood']})."


def _best_fidelity(kept: Mapping[str, Experiment], metrics: Metrics, profile: Profile) -> str:
    """Return the lowest FID of each family, from experiments with the same reference, and whether one is better."""
    families = {name: experiment.family for name, experiment in kept.items()}
    measure = name_of("fid", metrics[next(iter(families))])
    scores = {name: metrics[name][measure]["value"] for name in families}
    best: dict[str, str] = {}
    for name in sorted(scores, key=lambda name: scores[name]):
        best.setdefault(families[name], name)
    rows = {name: metrics[name][measure] for name in scores}
    intervals = {name: (row["low"], row["high"]) if "low" in row else None for name, row in rows.items()}
    words = ", ".join(f"{name} {FID.format(scores[name])}{in_words(intervals[name], FID)}" for name in best.values())
    first = next(iter(best.values()))
    best_is = f" The best is {first}: {verdict(first, intervals)}." if len(scores) > 1 else ""
    if budgets := _unequal_updates(kept, profile):
        best_is = f" This is no ranking, because the numbers of updates differ: {budgets}."
    protocol = rows[first]
    which = ", the best of each family" if len(best) > 1 else ", the best"
    chosen = which if len(best) < len(scores) else ""
    real = f"real images {FID.format(protocol['real_images'])}"
    return f"{FID_LABELS[measure]} against {protocol['reference']}{chosen}: {words}; {real}.{best_is}"


def _unequal_updates(kept: Mapping[str, Experiment], profile: Profile) -> str:
    """Return in words how many updates the experiments have, if all set the updates of an epoch and they differ."""
    names: dict[int, list[str]] = {}
    for name, experiment in kept.items():
        training = experiment.at(profile)
        if training.epoch_updates is None:
            return ""
        names.setdefault(training.epochs * training.epoch_updates, []).append(name)
    return "; ".join(f"{count:,} for {', '.join(found)}" for count, found in names.items()) if len(names) > 1 else ""


def _best_likelihood(dataset: str, test: Metrics) -> Iterator[str]:
    """Yield the best likelihood on a data set. Likelihoods of different data sets cannot be compared."""
    for column, words, best in (
        ("bits_per_dimension", f"the fewest bits per dimension, {BITS_PER_DIMENSION}", min),
        ("log_likelihood", f"the highest log-likelihood, {NATS} nats", max),
    ):
        found = {name: numbers[column] for name, numbers in test.items() if column in numbers}
        if len(found) > 1:
            name = best(found, key=lambda name: found[name])
            intervals = {each: interval_of(test[each], column) for each in found}
            evidence = verdict(name, intervals)
            yield f"Of {len(found)} models of {dataset}, {name} has {words.format(found[name])}: {evidence}."
            return


def _differences_over_seeds(table: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield, for experiments with several seeds, which of them differ from the best with the same reference or data."""
    fidelities: dict[str, dict[str, Spread]] = {}
    likelihoods: dict[str, dict[str, Spread]] = {}
    for row in table:
        over, name, fid = row["over_seeds"], row["experiment"], row["measure_names"]["fid"]
        if over[fid].deviation is not None:
            fidelities.setdefault(f"{FID_LABELS[fid]}, {row['reference']}", {})[name] = over[fid]
        likelihood = over.get("test_log_likelihood")
        if likelihood is not None and likelihood.deviation is not None:
            likelihoods.setdefault(f"log-likelihood on {row['dataset']}", {})[name] = likelihood
    for groups, choose, number in ((fidelities, min, FID), (likelihoods, max, NATS)):
        for measure, found in groups.items():
            if len(found) > 1:
                best = choose(found, key=lambda name: found[name].mean)
                yield _differences(measure, found, best, number)


def _differences(measure: str, found: Mapping[str, Spread], best: str, number: str) -> str:
    spread = found[best]
    different = [name for name in found if name != best and differ(found[name], spread)]
    similar = [name for name in found if name not in (best, *different)]
    words = [f"significantly different from it: {', '.join(different)}"] if different else []
    words += [f"not significantly different from it: {', '.join(similar)}"] if similar else []
    value = number.format(spread.mean) + plus_minus(spread.deviation)
    return f"{measure}: {best} has the best mean, {value} over {spread.n} seeds; {'; '.join(words)}."
