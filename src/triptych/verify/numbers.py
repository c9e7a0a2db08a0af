"""Numbers against the committed ones: `metrics/baseline`, which `triptych baseline` keeps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from triptych.core.file_names import MANIFEST
from triptych.core.json_files import flatten, is_number, read_json
from triptych.core.manifests import PROTOCOL
from triptych.models.common.registry import FAMILIES
from triptych.records.journal import look_up
from triptych.records.run_folder import stage_of
from triptych.verify.baseline import baseline_file
from triptych.verify.finding import Finding, Verdict
from triptych.verify.tolerances import SETTLED, tolerance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from triptych.core.project import Project

    Json = dict[str, Any]

PROSE = {"samples_are", "not_defined", "likelihood_is", "interval", "sentence", "numbers_are", "headline_is"}
MACHINE = ("device", "instruction_set", "threads", "torch")  # what the last digits depend on besides the inputs


def check_numbers(project: Project, names: Iterable[str]) -> Iterator[Finding]:
    """The metrics of each experiment, study and classifier against those kept of the same settings and data."""
    for name in names:
        metrics = project.metrics(name)
        if not metrics.exists():
            continue  # a missing output is named by `check_outputs`
        found = read_json(metrics)
        kept = baseline_file(project, name, found["profile"])
        if kept.exists():
            yield _compare(project, name, found, kept)
        else:
            yield Finding(f"metrics/{name}.json", _named(project, kept), Verdict.NOT_COMPARED, "nothing is kept of it")


def _named(project: Project, path: Path) -> str:
    return path.relative_to(project.root).as_posix()


def _compare(project: Project, name: str, found: Json, path: Path) -> Finding:
    what, against, kept = f"metrics/{name}.json", _named(project, path), read_json(path)
    if _results(found) == _results({key: kept.get(key) for key in found}):
        return Finding(what, against, Verdict.EQUAL)
    manifest = read_json(project.model(name) / MANIFEST)
    now, then = _numbers(found), _numbers(kept)
    other = _other_inputs(manifest, found, kept) + sorted(
        key for key, value in now.items() if _is_protocol(key) and then.get(key) != value
    )
    if other:
        return Finding(what, against, Verdict.NOT_COMPARED, f"other settings or data: {', '.join(other)}")
    here, there = _machine(_journal(project, name, manifest)), _machine(kept["run"])
    if here == there:
        detail = f"{_differing(now, then)}, on a machine of the same kind: was the code another one?"
        return Finding(what, against, Verdict.CHANGED, detail)
    if _unsettled(manifest):
        detail = (
            f"after fewer than {SETTLED:,} updates rounding can change all digits of this model's numbers; "
            f"{_machines(here, there)}"
        )
        return Finding(what, against, Verdict.NOT_COMPARED, detail)
    drifts = {key: drift(key, value, then.get(key)) for key, value in now.items()}
    worst = max(drifts, key=lambda key: drifts[key])
    detail = (
        f"{_differing(now, then)}, most {worst}: {now[worst]:.6g}, kept {then.get(worst, math.nan):.6g} "
        f"({drifts[worst]:.0%} of the tolerance); {_machines(here, there)}"
    )
    return Finding(what, against, Verdict.DRIFTED if drifts[worst] > 1 else Verdict.AGREES, detail)


def _results(metrics: Json) -> Json:
    """Return the flattened metrics without sentences that only explain them."""
    return {key: value for key, value in flatten(metrics).items() if PROSE.isdisjoint(key.split("."))}


def _numbers(metrics: Json) -> dict[str, float]:
    return {key: value for key, value in flatten(metrics).items() if is_number(value)}


def _is_protocol(key: str) -> bool:
    return key.rsplit(".", maxsplit=1)[-1] in PROTOCOL


def drift(key: str, value: float, kept: float | None) -> float:
    """How far a number is from the kept one, in tolerances; infinite if none is kept."""
    if kept is None:
        return math.inf
    return abs(value - kept) / tolerance(key, kept) if value != kept else 0.0


def _other_inputs(manifest: Json, found: Json, kept: Json) -> list[str]:
    """The settings that differ. `runtime` is none of them: it moves numbers within their tolerances alone."""
    now, then = flatten(manifest["settings"]), flatten(kept["settings"])
    changed = sorted(key for key in now.keys() | then.keys() if now.get(key) != then.get(key))
    same_data = found.get("data", {}).get("sha256") == kept.get("data", {}).get("sha256")
    return changed if same_data else [*changed, "data"]


def _differing(now: dict[str, float], then: dict[str, float]) -> str:
    differing = [key for key, value in now.items() if then.get(key) != value]
    return f"{len(differing)} of {len(now)} numbers differ"


def _unsettled(manifest: Json) -> bool:
    """Return whether rounding can still change all digits of the model's numbers."""
    settings, entry = manifest["settings"], FAMILIES.get(manifest["family"])
    if entry is None or not entry.unsettled(settings.get("model", {})):
        return False
    return manifest["epoch_updates"] * settings["epochs"] < SETTLED


def _journal(project: Project, name: str, manifest: Json) -> Json:
    return look_up(project, stage_of(manifest["family"]), name, project.model(name) / MANIFEST)


def _machine(facts: Json) -> list[str]:
    return [str(facts.get(key, "not recorded")) for key in MACHINE]


def _machines(here: list[str], there: list[str]) -> str:
    return f"trained on {', '.join(here)}, the kept one on {', '.join(there)}"
