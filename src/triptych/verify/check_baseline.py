"""Compare results with the baseline: those that `triptych baseline` keeps in `metrics/baseline`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from triptych.core.file_names import MANIFEST, RESULTS
from triptych.core.json_files import flatten, is_number, read_json
from triptych.evaluation.results_file import PROTOCOL
from triptych.models.common.registry import FAMILIES
from triptych.records.journal import look_up
from triptych.records.run_folder import stage_of
from triptych.repository.project import Project
from triptych.verify.baseline import ADDED, baseline_file
from triptych.verify.finding import Finding, Verdict, first_names
from triptych.verify.tolerances import SETTLED, rounding, tolerance

Json = dict[str, Any]

MACHINE = ("processor", "instruction_set", "blas", "device", "threads", "torch")  # only information
NOT_RESULTS = {*ADDED, "numbers_are"}  # `numbers_are` explains the numbers of a study
WORDS = ("verdict", "theory")  # results that are words
UNSTABLE = ("over_training.best.", "over_training.correlation.")  # rounding can change which snapshot is the best
ABSENT = "not there"


def check_baseline(project: Project, names: Iterable[str]) -> Iterator[Finding]:
    """Compare the results of each experiment, study and classifier with its baseline."""
    for name in names:
        results, manifest = project.results(name), project.model(name) / MANIFEST
        if not (results.exists() and manifest.exists()):
            continue  # `check_outputs` reports a missing output
        found = read_json(results)
        path = baseline_file(project, name, found["profile"])
        verdict, detail = _compare(project, name, found, path)
        yield Finding(f"plots/{name}/{RESULTS}", path.relative_to(project.root).as_posix(), verdict, detail)


def _compare(project: Project, name: str, found: Json, path: Path) -> tuple[Verdict, str]:
    """Return the verdict and its detail: weights, the worst number, and how the machines differ."""
    if not path.exists():
        return Verdict.NOT_COMPARED, "there is no baseline for it"
    kept, manifest = read_json(path), read_json(project.model(name) / MANIFEST)
    stage, others = stage_of(manifest["family"]), _with_another_extractor(found, kept)
    found, kept = ({key: value for key, value in each.items() if key not in others} for each in (found, kept))
    same_weights = found["weights_sha256"] == kept["weights_sha256"]
    now, then = _results(found), _results(kept)
    differences = list(_differences(now, then, of_study=stage == "study"))
    if same_weights and not differences and not others:
        return Verdict.EQUAL, ""
    if other := _other_inputs(manifest["settings"], found, kept):
        return Verdict.NOT_COMPARED, f"different settings, data or protocol: {first_names(other)}"
    worst = max(differences, default=ONLY_WEIGHTS, key=lambda each: (each.verdict.rank, each.tolerances))
    details = [
        "equal weights" if same_weights else "other weights",
        f"{len(differences)} of {len(now)} results differ" + (f", worst: {worst.words}" if differences else ""),
        *([f"not compared, because of another extractor: {first_names(others)}"] if others else []),
        _machines(look_up(project, stage, name, project.model(name) / MANIFEST), kept["run"]),
    ]
    if same_weights or not _is_unsettled(manifest):
        least = Verdict.NOT_COMPARED if others else Verdict.EQUAL
        return max(worst.verdict, least, key=lambda each: each.rank), "; ".join(details)
    reason = f"rounding can change all digits of this model in fewer than {SETTLED:,} updates"
    return Verdict.NOT_COMPARED, "; ".join([reason, *details])


def _results(metrics: Json) -> Json:
    """Return the numbers and the words that are results, flattened."""
    return {
        key: value
        for key, value in flatten({key: metrics[key] for key in metrics.keys() - NOT_RESULTS}).items()
        if (is_number(value) and _last(key) not in PROTOCOL and not key.startswith(UNSTABLE)) or _last(key) in WORDS
    }


def _with_another_extractor(found: Json, kept: Json) -> set[str]:
    """Return the measures whose extractor differs, and with them the scores of snapshots."""
    others = {key for key in found.keys() | kept.keys() if _extractor(found.get(key)) != _extractor(kept.get(key))}
    return {*others, "over_training"} if others else others


def _extractor(measure: object) -> str:
    """Return the name of a measure's extractor, without the accuracy of a classifier that was trained here."""
    return str(measure.get("extractor", "")).partition(" (")[0] if isinstance(measure, dict) else ""


def _last(key: str) -> str:
    return key.rpartition(".")[2]


class _Difference(NamedTuple):
    """A difference from the baseline: its verdict, its size in tolerances, and the values in words."""

    verdict: Verdict
    tolerances: float
    words: str


ONLY_WEIGHTS = _Difference(Verdict.ROUNDING, 0.0, "")


def _differences(now: Json, then: Json, *, of_study: bool) -> Iterator[_Difference]:
    for key in sorted(now.keys() | then.keys()):
        value, kept = now.get(key, ABSENT), then.get(key, ABSENT)
        words = f"{key}: {value}, in the baseline {kept}"
        if is_number(value) and is_number(kept):
            if value != kept:
                relative = abs(value - kept) / max(abs(value), abs(kept))
                verdict, tolerances = _judge(key, value, kept, of_study=of_study)
                yield _Difference(verdict, tolerances, f"{words} (relative difference {relative:.2g})")
        elif value != kept:
            verdict = Verdict.NOT_COMPARED if ABSENT in (value, kept) else Verdict.DRIFTED
            yield _Difference(verdict, math.inf, words)


def _judge(key: str, value: float, kept: float, *, of_study: bool) -> tuple[Verdict, float]:
    """Return the verdict on a number, and its distance from the baseline in tolerances."""
    distance, limit = abs(value - kept), tolerance(key, kept)
    if distance <= rounding(kept, of_study=of_study):
        return Verdict.ROUNDING, distance / limit
    return Verdict.AGREES if distance <= limit else Verdict.DRIFTED, distance / limit


def _other_inputs(settings: Json, found: Json, kept: Json) -> list[str]:
    """Return the names of differing settings, data and protocol. `runtime` is not compared: it only changes digits."""
    now, then = flatten(settings), flatten(kept["settings"])
    other = [key for key in now.keys() | then.keys() if now.get(key) != then.get(key)]
    if found.get("data", {}).get("sha256") != kept.get("data", {}).get("sha256"):
        other.append("data")
    now, then = _protocol(found), _protocol(kept)
    other += [key for key in now.keys() & then.keys() if now[key] != then[key]]
    return list(dict.fromkeys(other))


def _protocol(metrics: Json) -> dict[str, Any]:
    """Return the numbers and words that say how something was measured, except the extractor."""
    flat = flatten(metrics)
    return {
        key: value
        for key, value in flat.items()
        if (is_number(value) and _last(key) in PROTOCOL) or _last(key) == "reference"
    }


def _is_unsettled(manifest: Mapping[str, Any]) -> bool:
    family, settings = manifest["family"], manifest["settings"]
    if family not in FAMILIES or not FAMILIES[family].unsettled(settings.get("model", {})):
        return False
    return manifest["epoch_updates"] * settings["epochs"] < SETTLED


def _machines(here: Json, there: Json) -> str:
    """Return how this machine differs from the baseline's."""
    now, then = ({fact: facts.get(fact, "not recorded") for fact in MACHINE} for facts in (here, there))
    other = [
        f"{fact.replace('_', ' ')} {now[fact]} (in the baseline {then[fact]})"
        for fact in MACHINE
        if now[fact] != then[fact]
    ]
    return ", ".join(other) or "the same kind of machine"
