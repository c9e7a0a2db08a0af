"""Compare metrics with the baseline: the results that `triptych baseline` keeps in `metrics/baseline`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from triptych.core.file_names import MANIFEST
from triptych.core.json_files import flatten, is_number, read_json
from triptych.core.json_schemas import PROTOCOL
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

MACHINE = ("device", "instruction_set", "threads", "torch")  # besides the inputs, the last digits depend on these facts
NO_BASELINE = Verdict.NOT_COMPARED, "there is no baseline for it"


def check_baseline(project: Project, names: Iterable[str]) -> Iterator[Finding]:
    """Compare the metrics of each experiment, study and classifier with its baseline."""
    for name in names:
        metrics = project.metrics(name)
        if not metrics.exists():
            continue  # `check_outputs` reports a missing output
        found = read_json(metrics)
        path = baseline_file(project, name, found["profile"])
        verdict, detail = _compare(project, name, found, path) if path.exists() else NO_BASELINE
        yield Finding(f"metrics/{name}.json", path.relative_to(project.root).as_posix(), verdict, detail)


def _compare(project: Project, name: str, found: Json, path: Path) -> tuple[Verdict, str]:
    """Return the verdict and its detail."""
    kept = read_json(path)
    if found == {key: kept.get(key) for key in found}:
        return Verdict.EQUAL, ""
    manifest = read_json(project.model(name) / MANIFEST)
    now, then = _numbers(found), _numbers(kept)
    other = _other_inputs(manifest, found, kept) + _other_protocol(now, then)
    if other:
        return Verdict.NOT_COMPARED, f"different settings or data: {', '.join(other)}"
    here, there = _machine(_journal(project, name, manifest)), _machine(kept["run"])
    machines = f"trained on {', '.join(here)}; the baseline on {', '.join(there)}"
    differing = f"{sum(then.get(key) != value for key, value in now.items())} of {len(now)} numbers differ"
    if here == there:
        return Verdict.CHANGED, f"{differing} on the same kind of machine: the code may have changed"
    if _is_unsettled(manifest):
        detail = f"fewer than {SETTLED:,} updates of a GAN, of a flow or on importance weights; {machines}"
        return Verdict.NOT_COMPARED, detail
    drifts = {key: drift(key, value, then.get(key)) for key, value in now.items()}
    worst = max(drifts, key=lambda key: drifts[key])
    detail = (
        f"{differing}, most of all {worst}: {now[worst]:.6g}, baseline {then.get(worst, math.nan):.6g} "
        f"({drifts[worst]:.0%} of the tolerance); {machines}"
    )
    return Verdict.DRIFTED if drifts[worst] > 1 else Verdict.AGREES, detail


def drift(key: str, value: float, kept: float | None) -> float:
    """Return the distance of a number from its baseline, in tolerances; infinity if the baseline has no such number."""
    if kept is None:
        return math.inf
    return abs(value - kept) / tolerance(key, kept) if value != kept else 0.0


def _numbers(metrics: Json) -> dict[str, float]:
    return {key: value for key, value in flatten(metrics).items() if is_number(value)}


def _other_inputs(manifest: Json, found: Json, kept: Json) -> list[str]:
    """Return the names of differing settings. `runtime` is not compared: it changes only the last digits."""
    now, then = flatten(manifest["settings"]), flatten(kept["settings"])
    changed = sorted(key for key in now.keys() | then.keys() if now.get(key) != then.get(key))
    same_data = found.get("data", {}).get("sha256") == kept.get("data", {}).get("sha256")
    return changed if same_data else [*changed, "data"]


def _other_protocol(now: dict[str, float], then: dict[str, float]) -> list[str]:
    """Return the names of differing numbers that say how something was measured, such as sample counts."""
    protocol = [key for key in now if key.rsplit(".", maxsplit=1)[-1] in PROTOCOL]
    return sorted(key for key in protocol if then.get(key) != now[key])


def _is_unsettled(manifest: Json) -> bool:
    settings = manifest["settings"]
    wild = manifest["family"] in ("gan", "flow") or settings.get("model", {}).get("importance_samples", 1) > 1
    return wild and manifest["epoch_updates"] * settings["epochs"] < SETTLED


def _journal(project: Project, name: str, manifest: Json) -> Json:
    return look_up(project, stage_of(manifest["family"]), name, project.model(name) / MANIFEST)


def _machine(facts: Json) -> list[str]:
    return [str(facts.get(key, "not recorded")) for key in MACHINE]
