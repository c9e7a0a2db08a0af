"""Compare metrics with the baseline: the results that `triptych baseline` keeps in `metrics/baseline`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from triptych.core.file_names import MANIFEST
from triptych.core.json_files import flatten, is_number, read_json
from triptych.core.json_schemas import PROTOCOL
from triptych.core.project import Project
from triptych.models.common.registry import FAMILIES
from triptych.records.journal import look_up
from triptych.records.run_folder import stage_of
from triptych.verify.baseline import baseline_file
from triptych.verify.finding import Finding, Verdict
from triptych.verify.tolerances import SETTLED, tolerance

Json = dict[str, Any]

MACHINE = ("device", "instruction_set", "threads", "torch")  # besides the inputs, the last digits depend on these facts
PROSE = {"samples_are", "not_defined", "likelihood_is", "interval", "sentence", "numbers_are", "headline_is"}
"""Keys of sentences that only explain numbers. They are not compared."""


def check_baseline(project: Project, names: Iterable[str]) -> Iterator[Finding]:
    """Compare the metrics of each experiment, study and classifier with its baseline."""
    for name in names:
        metrics = project.metrics(name)
        if not metrics.exists():
            continue  # `check_outputs` reports a missing output
        found = read_json(metrics)
        path = baseline_file(project, name, found["profile"])
        verdict, detail = _compare(project, name, found, path)
        yield Finding(f"metrics/{name}.json", path.relative_to(project.root).as_posix(), verdict, detail)


def _compare(project: Project, name: str, found: Json, path: Path) -> tuple[Verdict, str]:
    """Return the verdict and its detail."""
    if not path.exists():
        return Verdict.NOT_COMPARED, "there is no baseline for it"
    kept = read_json(path)
    if _results(found) == _results({key: kept.get(key) for key in found}):
        return Verdict.EQUAL, ""
    manifest = read_json(project.model(name) / MANIFEST)
    family, settings = manifest["family"], manifest["settings"]
    now, then = _numbers(found), _numbers(kept)
    other = _other_inputs(settings, found, kept) + _other_protocol(now, then)
    if other:
        return Verdict.NOT_COMPARED, f"different settings or data: {', '.join(other)}"
    here = _machine(look_up(project, stage_of(family), name, project.model(name) / MANIFEST))
    there = _machine(kept["run"])
    machines = f"trained on {', '.join(here)}; the baseline on {', '.join(there)}"
    differing = f"{sum(then.get(key) != value for key, value in now.items())} of {len(now)} numbers differ"
    if here == there:
        return Verdict.CHANGED, f"{differing} on the same kind of machine: the code may have changed"
    unsettled = family in FAMILIES and FAMILIES[family].unsettled(settings.get("model", {}))
    if unsettled and manifest["epoch_updates"] * settings["epochs"] < SETTLED:
        detail = f"rounding can change all digits of this model in fewer than {SETTLED:,} updates; {machines}"
        return Verdict.NOT_COMPARED, detail
    drifts = {key: _drift(key, value, then.get(key)) for key, value in now.items()}
    worst = max(drifts, key=drifts.__getitem__)
    detail = (
        f"{differing}, most of all {worst}: {now[worst]:.6g}, baseline {then.get(worst, math.nan):.6g} "
        f"({drifts[worst]:.0%} of the tolerance); {machines}"
    )
    return Verdict.DRIFTED if drifts[worst] > 1 else Verdict.AGREES, detail


def _results(metrics: Json) -> Json:
    return {key: value for key, value in flatten(metrics).items() if PROSE.isdisjoint(key.split("."))}


def _numbers(metrics: Json) -> dict[str, float]:
    return {key: value for key, value in flatten(metrics).items() if is_number(value)}


def _other_inputs(settings: Json, found: Json, kept: Json) -> list[str]:
    """Return the names of differing settings. `runtime` is not compared: it changes only the last digits."""
    now, then = flatten(settings), flatten(kept["settings"])
    changed = sorted(key for key in now.keys() | then.keys() if now.get(key) != then.get(key))
    same_data = found.get("data", {}).get("sha256") == kept.get("data", {}).get("sha256")
    return changed if same_data else [*changed, "data"]


def _other_protocol(now: dict[str, float], then: dict[str, float]) -> list[str]:
    """Return the names of differing numbers that say how something was measured, such as sample counts."""
    return sorted(key for key in now if key.split(".")[-1] in PROTOCOL and then.get(key) != now[key])


def _machine(facts: Json) -> list[str]:
    return [str(facts.get(key, "not recorded")) for key in MACHINE]


def _drift(key: str, value: float, kept: float | None) -> float:
    """Return the distance of a number from its baseline, in tolerances; infinity if the baseline has no such number."""
    if kept is None:
        return math.inf
    return abs(value - kept) / tolerance(key, kept) if value != kept else 0.0
