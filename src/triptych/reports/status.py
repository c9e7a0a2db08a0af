"""`triptych status`: what is trained, how good, and what is stale, in a second.

What is stale is read off `dvc.lock` alone: settings and code as they were when a stage ran, against those of now, and
data against what the stage before it wrote. DVC, which looks at every file, has the last word.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

from triptych.core.dvc_cache import content_hash
from triptych.core.file_names import MANIFEST
from triptych.core.json_files import is_number, read_json
from triptych.core.lock_file import read_stages
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.records.headlines import likelihood, study_headline
from triptych.records.journal import look_up
from triptych.records.run_folder import stage_of
from triptych.training.checkpoint import INDEX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from triptych.core.project import Project
    from triptych.settings.params import Settings

Json = dict[str, Any]

CURRENT, NEVER = "up to date", "not run"
CODE = "src/"
MISSING = object()
PARAMS = "params.yaml"
LINE = "{:<26} {:<11} {:<8} {:<16} {:>8}  {}"


def status(project: Project, settings: Settings) -> str:
    """A line an experiment and study, why it is not up to date, and what to do. Raises TriptychError at damage."""
    lock = Lock.read(project)
    found = {name: _of_experiment(project, lock, name) for name in settings.experiments}
    found |= {name: _of_study(project, lock, name) for name in settings.studies}
    lines = [f"profile {settings.profile}", LINE.format("experiment", "state", "profile", "trained", "in", "test set")]
    for name, (state, reason, headline) in found.items():
        lines.append(LINE.format(name, state, *_training(project, name), headline).rstrip())
        lines += [f"    {reason}"] if reason else []
    others = sum(state != CURRENT for state, _, _ in found.values())
    lines.append(
        f"{others} of {len(found)} are not up to date: `triptych repro` brings them there"
        if others
        else "All are up to date, as far as settings, code and records tell; `triptych repro` looks at every file."
    )
    return "\n".join(lines)


def _of_experiment(project: Project, lock: Lock, name: str) -> tuple[str, str, str]:
    """State, reason and headline."""
    state, reason = _trained(project, lock.state(f"train@{name}"), name)
    evaluated = lock.state(f"evaluate@{name}")
    if state == CURRENT and evaluated != CURRENT:
        state, reason = ("not judged", "") if evaluated == NEVER else ("judge anew", evaluated)
    headline = ""
    if project.metrics(name).exists():
        metrics = read_json(project.metrics(name))
        fid = metrics[name_of("fid", metrics)]["value"]
        row = {f"test_{key}": metrics["test"].get(key, "") for key in ("elbo", "log_likelihood", "bits_per_dimension")}
        headline = ", ".join(filter(None, [f"FID {fid:.2f}", likelihood(row)]))
    return state, reason, headline


def _of_study(project: Project, lock: Lock, name: str) -> tuple[str, str, str]:
    state, reason = _trained(project, lock.state(f"study@{name}"), name)
    return state, reason, study_headline(project, name) if project.metrics(name).exists() else ""


def _trained(project: Project, state: str, name: str) -> tuple[str, str]:
    """A word on the training and the reason; where it was stopped, how far it came."""
    indices = [place / INDEX for place in (project.private / "checkpoints").glob(f"{name}@*")]
    steps = [read_json(index)["step"] for index in indices if index.exists()]
    if state != CURRENT and steps:
        return "stopped", f"a run was stopped after step {max(steps):,}; with its settings it goes on from there"
    return (state, "") if state in (CURRENT, NEVER) else ("stale", state)


def _training(project: Project, name: str) -> tuple[str, str, str]:
    """Profile, when it began, and how long it took; empty where that is not known."""
    manifest = project.model(name) / MANIFEST
    if not manifest.exists():
        return "", "", ""
    facts = read_json(manifest)
    journal = look_up(project, stage_of(facts.get("family", facts.get("study", ""))), name, manifest)
    began, seconds = str(journal.get("started", ""))[:16].replace("T", " "), journal.get("seconds")
    return facts.get("profile", ""), began, f"{seconds:,.0f} s" if is_number(seconds) else ""


@dataclass(frozen=True)
class Lock:
    """What `dvc.lock` says of the stages when they ran last, and what is there now."""

    root: Path
    stages: Mapping[str, Json]
    settings: Json
    known: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, project: Project) -> Lock:
        """Raises TriptychError if the file is damaged."""
        return cls(project.root, read_stages(project.root), _yaml(project.params))

    @cached_property
    def makers(self) -> dict[str, tuple[str, str]]:
        """By path of an output: the stage that wrote it, and its hash."""
        return {out["path"]: (name, out["md5"]) for name, entry in self.stages.items() for out in entry["outs"]}

    def state(self, stage: str) -> str:
        """`CURRENT`, `NEVER`, or why the stage is to run again."""
        if stage not in self.known:
            self.known[stage] = next(self._reasons(stage), CURRENT) if stage in self.stages else NEVER
        return self.known[stage]

    def _reasons(self, stage: str) -> Iterator[str]:
        entry = self.stages[stage]
        for key, then in entry.get("params", {}).get(PARAMS, {}).items():
            for name, (before, now) in sorted(differences(key, then, self._setting(key)).items()):
                yield f"{name} was {_shown(before)}, is {_shown(now)}"
        for dependency in entry.get("deps", ()):
            path, md5 = dependency["path"], dependency["md5"]
            if path in self.makers:
                maker, made = self.makers[path]
                if self.state(maker) != CURRENT:
                    yield f"waits for {maker} ({self.state(maker)})"
                elif made != md5:
                    yield f"{path} was made anew"
            elif path.startswith(CODE) and content_hash(self.root / path) != md5:
                yield f"{path} has changed"
        for output in entry["outs"]:
            if not (self.root / output["path"]).exists():
                yield f"{output['path']} is missing"

    def _setting(self, key: str) -> object:
        try:
            return reduce(lambda part, name: part[name], key.split("."), self.settings)
        except (KeyError, TypeError):
            return MISSING


def differences(key: str, then: object, now: object) -> dict[str, tuple[object, object]]:
    """By dotted key, the values that differ, then and now."""
    if isinstance(then, dict) and isinstance(now, dict):
        found: dict[str, tuple[object, object]] = {}
        for name in {**then, **now}:
            found |= differences(f"{key}.{name}", then.get(name, MISSING), now.get(name, MISSING))
        return found
    return {} if then == now else {key: (then, now)}


def _shown(value: object) -> str:
    return "not there" if value is MISSING else json.dumps(value, default=str)


def _yaml(path: Path) -> Json:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
