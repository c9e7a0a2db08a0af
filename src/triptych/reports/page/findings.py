"""What the documents ask to discuss, answered from the numbers at hand: other numbers, other sentences."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from triptych.evaluation.fidelity.metric_names import name_of
from triptych.evaluation.over_seeds import differ
from triptych.models.common.registry import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from triptych.evaluation.over_seeds import Spread
    from triptych.settings.experiment import Experiment
    from triptych.settings.params import Settings

    Metrics = Mapping[str, Mapping[str, Any]]

NOISE = 2.0  # standard errors that a difference must exceed


def findings(
    settings: Settings, metrics: Metrics, studies: Metrics, table: Sequence[Mapping[str, Any]] = ()
) -> list[tuple[str, list[str]]]:
    """Each question that the metrics (of experiments and of studies, by name) can answer, with its sentences.

    `table` are the rows of the comparison, for what several seeds say.
    """
    kept = {name: item for name, item in settings.experiments.items() if name in metrics}
    answers = {
        "Which number tells a GAN's progress?": _progress(metrics),
        "What do more layers buy a planar flow?": _layers(settings, studies),
        "What does a planar posterior buy a VAE?": _posterior(kept, metrics),
        "How do the families compare?": _families(kept, metrics),
        "Is the order more than the luck of a seed?": _luck(table),
    }
    return [(question, found) for question, sentences in answers.items() if (found := list(sentences))]


def _progress(metrics: Metrics) -> Iterator[str]:
    found = {name: each["over_training"]["correlation"] for name, each in metrics.items() if "over_training" in each}
    known = {name: each for name, each in found.items() if "value" in each}  # not for a handful of snapshots
    if not known:
        return
    falls = [name for name, each in known.items() if each["low"] > 0]
    rises = [name for name, each in known.items() if each["high"] < 0]
    if falls:
        yield f"Where FID falls, so does what the critic estimates: {_values(falls, known)}. There, both tell progress."
    if rises:
        yield (
            f"Where FID falls, what the critic estimates rises: {_values(rises, known)}. There, a growing estimate is "
            "no sign of failure, and FID tells progress."
        )
    rest = [name for name in known if name not in falls + rises]
    if rest:
        yield (
            f"No relation between the critic's estimate and FID shows: {_values(rest, known)}; the 95 % interval holds "
            "0. There, only measures of the samples tell progress."
        )


def _values(names: Iterable[str], found: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(f"{name} (rho {found[name]['value']:.2f}, {found[name]['snapshots']} snapshots)" for name in names)


def _layers(settings: Settings, studies: Metrics) -> Iterator[str]:
    for name, study in settings.studies.items():
        if study.study != "planar" or name not in studies:
            continue
        found = studies[name]
        for density, depths in _depths(found["configurations"]).items():
            if len(depths) == 1:
                continue
            values = [_at(found[f"{density}-k{k}"], found["headline"]) for k in depths]
            path = ", ".join(f"{value:.3f} at k = {k}" for k, value in zip(depths, values, strict=True))
            worse = [after for (_, before), (after, now) in pairwise(zip(depths, values, strict=True)) if now >= before]
            verdict = f"no gain at k = {' and '.join(map(str, worse))}" if worse else "each step gained"
            yield f"{name}, {density}: {found['headline_is']}, {path}; {verdict}."


def _depths(configurations: Iterable[str]) -> dict[str, list[int]]:
    """Numbers of layers by density, from names such as `arcs-k8`."""
    found: dict[str, list[int]] = {}
    for configuration in configurations:
        density, _, depth = configuration.rpartition("-k")
        found[density] = sorted([*found.get(density, []), int(depth)])
    return found


def _at(numbers: Mapping[str, Any], key: str) -> float:
    for part in key.split("."):
        numbers = numbers[part]
    return float(numbers)


def _posterior(kept: Mapping[str, Experiment], metrics: Metrics) -> Iterator[str]:
    for name, experiment in kept.items():
        layers = experiment.family == "vae" and experiment.model.planar_layers
        alone = next((other for other in kept if layers and _without_layers(experiment) == kept[other]), None)
        if alone is None:
            continue
        with_flow, without = metrics[name]["test"], metrics[alone]["test"]
        difference = with_flow["log_likelihood"] - without["log_likelihood"]
        error = sum(test["log_likelihood_standard_error"] ** 2 for test in (with_flow, without)) ** 0.5
        verdict = "more than" if abs(difference) > NOISE * error else "not more than"
        yield (
            f"{name} has a log-likelihood of {with_flow['log_likelihood']:.2f} nats, and {alone}, without the {layers} "
            f"layers, {without['log_likelihood']:.2f}: a difference of {difference:+.2f}, {verdict} {NOISE:g} of its "
            f"standard errors ({error:.2f}, as if the images were not the same). The ELBO misses "
            f"{with_flow['gap']:.2f} nats of it, and {without['gap']:.2f} without."
        )


def _without_layers(experiment: Experiment) -> Experiment:
    return experiment.model_copy(update={"model": experiment.model.model_copy(update={"planar_layers": 0})})


def _families(kept: Mapping[str, Experiment], metrics: Metrics) -> Iterator[str]:
    for reference in dict.fromkeys(metrics[name]["reference"]["name"] for name in kept):
        yield _fidelity({n: kept[n].family for n in kept if metrics[n]["reference"]["name"] == reference}, metrics)
    for dataset in dict.fromkeys(experiment.dataset for experiment in kept.values()):
        names = [name for name in kept if kept[name].dataset == dataset]
        yield from _likelihood(dataset, {name: metrics[name]["test"] for name in names})
    without = [name for name in kept if "log_likelihood" not in metrics[name]["test"]]
    if without:
        yield f"Without a likelihood: {', '.join(without)} ({metrics[without[0]]['not_defined']['log_likelihood']})."


def _fidelity(families: Mapping[str, str], metrics: Metrics) -> str:
    """Of experiments that one reference judged."""
    measure = name_of("fid", metrics[next(iter(families))])
    scores = {name: metrics[name][measure]["value"] for name in families}
    best: dict[str, str] = {}
    for name in sorted(scores, key=lambda name: scores[name]):
        best.setdefault(families[name], name)
    words = ", ".join(f"{name} {scores[name]:.2f} ({FAMILIES[family].lower()})" for family, name in best.items())
    protocol = metrics[next(iter(best.values()))][measure]
    whose = "the best of each family" if len(best) > 1 else "the best"
    return f"{measure} against {protocol['reference']}, {whose}: {words}; real images {protocol['real_images']:.2f}."


def _luck(table: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Of experiments with several seeds: which can be told from the best of those that they compare with."""
    fidelities: dict[tuple[str, str], dict[str, Spread]] = {}
    likelihoods: dict[tuple[str, str], dict[str, Spread]] = {}
    for row in table:
        over, name = row["over_seeds"], row["experiment"]
        fid = row["judged"]["fid"]
        fidelities.setdefault((fid, row["reference"]), {})[name] = over[fid]
        if "test_log_likelihood" in over:
            likelihoods.setdefault(("log-likelihood", row["dataset"]), {})[name] = over["test_log_likelihood"]
    for groups, choose in ((fidelities, min), (likelihoods, max)):
        for (measure, of), every in groups.items():
            found = {name: spread for name, spread in every.items() if spread.deviation is not None}
            if len(found) > 1:
                yield _told_apart(f"{measure} on {of}", found, choose(found, key=lambda name: found[name].mean))


def _told_apart(what: str, found: Mapping[str, Spread], best: str) -> str:
    others = [name for name in found if name != best]
    apart = [name for name in others if differ(found[name], found[best])]
    spread = found[best]
    words = [f"apart from it by more than seeds do: {', '.join(apart)}"] if apart else []
    rest = [name for name in others if name not in apart]
    words += [f"not to be told from it: {', '.join(rest)}"] if rest else []
    return (
        f"{what}: {best} has the best mean, {spread.mean:.2f} ± {spread.deviation:.2g} over {spread.n} seeds; "
        f"{'; '.join(words)}."
    )


def _likelihood(dataset: str, test: Metrics) -> Iterator[str]:
    """Of experiments on one data set: only there can likelihoods be compared."""
    for column, words, best in (
        ("bits_per_dimension", "the fewest bits per dimension, {:.3f}", min),
        ("log_likelihood", "the highest log-likelihood, {:.2f} nats", max),
    ):
        found = {name: numbers[column] for name, numbers in test.items() if column in numbers}
        if len(found) > 1:
            name = best(found, key=lambda name: found[name])
            yield f"Of {len(found)} models of {dataset}, {name} has {words.format(found[name])}."
            return
