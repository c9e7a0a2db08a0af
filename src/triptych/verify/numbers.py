"""Numbers against the committed ones: `metrics/reference`, which `triptych reference` keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triptych.files import flatten, is_number, read_json
from triptych.tracking.journal import look_up
from triptych.tracking.records import stage_of
from triptych.tracking.reference import reference_file
from triptych.verify.finding import Finding, Verdict
from triptych.verify.tolerances import tolerance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from triptych.project import Project

    Json = dict[str, Any]

MACHINE = ("device", "instruction_set", "threads", "torch")  # what the last digits depend on besides the inputs
TRAINED = ("settings", "runtime")


def check_numbers(project: Project, names: Iterable[str]) -> Iterator[Finding]:
    """The metrics of each experiment, study and classifier against those kept of the same settings and data."""
    for name in names:
        metrics = project.metrics(name)
        if not metrics.exists():
            continue  # a missing output is named by `check_outputs`
        found = read_json(metrics)
        kept = reference_file(project, name, found["profile"])
        if kept.exists():
            yield _compare(project, name, found, kept)
        else:
            yield Finding(f"metrics/{name}.json", _named(project, kept), Verdict.NOT_COMPARED, "nothing is kept of it")


def _named(project: Project, path: Path) -> str:
    return path.relative_to(project.root).as_posix()


def _compare(project: Project, name: str, found: Json, path: Path) -> Finding:
    what, against, kept = f"metrics/{name}.json", _named(project, path), read_json(path)
    manifest = read_json(project.model(name) / "manifest.json")
    if kept["fingerprint"] != found["fingerprint"]:
        return Finding(what, against, Verdict.NOT_COMPARED, _other_inputs(manifest, found, kept))
    numbers = {key: value for key, value in flatten(found).items() if is_number(value)}
    expected = {key: value for key, value in flatten(kept).items() if key in numbers}
    if found == {key: kept.get(key) for key in found}:
        return Finding(what, against, Verdict.EQUAL)
    if numbers.keys() != expected.keys():
        return Finding(
            what, against, Verdict.CHANGED, f"not kept: {', '.join(sorted(numbers.keys() - expected.keys()))}"
        )
    drifts = {key: drift(key, value, expected[key]) for key, value in numbers.items()}
    worst = max(drifts, key=lambda key: drifts[key])
    verdict = Verdict.DRIFTED if drifts[worst] > 1 else Verdict.AGREES
    differing = sum(value > 0 for value in drifts.values())
    if not differing:
        return Finding(what, against, Verdict.CHANGED, "the numbers are equal, but not the words beside them")
    detail = (
        f"{differing} of {len(numbers)} numbers differ; {worst} is {numbers[worst]:.6g}, was {expected[worst]:.6g} "
        f"({drifts[worst]:.0%} of its tolerance); {_machines(project, name, manifest, kept)}"
    )
    return Finding(what, against, verdict, detail)


def drift(key: str, value: float, kept: float) -> float:
    """How far a number is from the kept one, in tolerances."""
    return abs(value - kept) / tolerance(key, kept) if value != kept else 0.0


def _other_inputs(manifest: Json, found: Json, kept: Json) -> str:
    now = flatten({part: manifest.get(part, {}) for part in TRAINED})
    then = flatten({part: kept.get(part, {}) for part in TRAINED})
    changed = sorted(key for key in now.keys() | then.keys() if now.get(key) != then.get(key))
    if found.get("data", {}).get("sha256") != kept.get("data", {}).get("sha256"):
        changed.append("data")
    return f"other inputs: {', '.join(changed) or 'version of the settings'}"


def _machines(project: Project, name: str, manifest: Json, kept: Json) -> str:
    journal = look_up(project, stage_of(manifest["family"]), name, project.model(name) / "manifest.json")
    now, then = (", ".join(str(facts.get(key, "not recorded")) for key in MACHINE) for facts in (journal, kept["run"]))
    return f"trained on {now}" + ("" if now == then else f", the kept one on {then}")
