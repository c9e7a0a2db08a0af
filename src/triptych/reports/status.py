"""`triptych status`: which experiments and studies are trained, how good they are, and what is stale.

This module compares `dvc.lock` with the present settings and code, and with the hashes that earlier stages have
recorded. It imports no PyTorch, which takes seconds. DVC also checks the data files, and decides what `triptych repro`
runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, NamedTuple

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.json_files import is_number, read_json
from triptych.records.headlines import experiment_headline, study_headline
from triptych.records.journal import look_up
from triptych.records.run_folder import stage_of
from triptych.reports.page.build import is_current
from triptych.repository.dvc_cache import content_hash, size_on_disk
from triptych.repository.lock_file import read_stages
from triptych.repository.project import Project
from triptych.settings.params import Settings, read_written
from triptych.settings.sections import STAGE_SECTIONS
from triptych.training.running import INDEX, running_process

Json = dict[str, Any]

CURRENT, NEVER, RUNNING = "up to date", "not run", "running"
MISSING = object()
LINE = "{:<%d} {:<19} {:<8} {:<16} {:>9}  {}"  # with the width of the names


class State(NamedTuple):
    """The state of an experiment or study, and the reason if it is stale."""

    word: str
    reason: str = ""


def status(project: Project, settings: Settings) -> str:
    """Return one line per experiment and study with its state and headline numbers, and reasons if it is stale.

    A last line says if `report.html` is missing or stale. Raises TriptychError if `dvc.lock` is damaged.
    """
    lock, states, names = DvcLock.read(project), [], [*settings.experiments, *settings.studies]
    line = LINE % max(map(len, ["experiment", *names]))
    heads = line.format("experiment", "state", "profile", "trained (UTC)", "in", "test set")
    lines = [f"profile {settings.profile}", heads]
    for name in names:
        facts, headline = ("", "", ""), ""
        try:
            state = _state(project, settings, lock, name)
            facts, headline = _training(project, name), _headline(project, settings, name)
        except TriptychError as error:
            state = State("damaged", str(error))
        states.append(state)
        lines.append(line.format(name, state.word, *facts, headline).rstrip())
        if state.reason:
            lines.append(f"    {state.reason}")
    if stale := [state for state in states if state.word not in (CURRENT, RUNNING)]:
        lines.append(f"{len(stale)} of {len(states)} are not up to date: run `triptych repro`")
    elif RUNNING not in (state.word for state in states):
        lines.append("All are up to date by settings, code and dvc.lock; `triptych repro` also checks the data files.")
    return "\n".join([*lines, *_warning_of_page(project, settings)])


def _warning_of_page(project: Project, settings: Settings) -> Iterator[str]:
    state = "stale" if project.page.exists() else "missing"
    if state == "missing" and not project.summary.exists():
        return  # nothing has run yet
    try:
        if not is_current(project, settings):
            yield f"report.html is {state}: run `triptych page`"
    except TriptychError as error:
        yield f"report.html is {state}, and cannot be built: {error}"


def _state(project: Project, settings: Settings, lock: DvcLock, name: str) -> State:
    if name in settings.studies:
        return _state_of_training(project, lock, f"study@{name}")
    trained = _state_of_training(project, lock, f"train@{name}")
    evaluated = lock.state(f"evaluate@{name}")
    if trained.word != CURRENT or evaluated == CURRENT:
        return trained
    if pid := running_process(project.checkpoints, f"evaluate-{name}", project.metrics(name)):
        return State(RUNNING, f"process {pid} evaluates it")
    return State("not evaluated") if evaluated == NEVER else State("evaluation is stale", evaluated)


def _state_of_training(project: Project, lock: DvcLock, stage: str) -> State:
    state, name = lock.state(stage), stage.partition("@")[2]
    if state == CURRENT:
        return State(CURRENT)
    if pid := running_process(project.checkpoints, name, project.model(name)):
        return State(RUNNING, f"process {pid} trains it")
    word, reasons = (NEVER, []) if state == NEVER else ("stale", [state])
    indices = [folder / INDEX for folder in project.checkpoints.glob(f"{name}@*")]
    if steps := [read_json(index)["step"] for index in indices if index.exists()]:
        same = "with the same settings, code and data, and on the same kind of machine, it continues there"
        word = "stopped"
        reasons.append(f"a run stopped after step {max(steps):,}; {same}")
    return State(word, "; ".join(reasons))


def _headline(project: Project, settings: Settings, name: str) -> str:
    if not project.results(name).exists():
        return ""
    metrics = read_json(project.results(name))
    return study_headline(metrics) if name in settings.studies else experiment_headline(metrics)


def _training(project: Project, name: str) -> tuple[str, str, str]:
    """Return the profile, start time and duration of the training, as on the page; empty if they are unknown."""
    manifest = project.model(name) / MANIFEST
    if not manifest.exists():
        return "", "", ""
    facts = read_json(manifest)
    journal = look_up(project, stage_of(facts["family"]), name, manifest)
    began, seconds = str(journal.get("started", ""))[:16].replace("T", " "), journal.get("train_seconds")
    return facts.get("profile", ""), began, f"{seconds:,.1f} s" if is_number(seconds) else ""


@dataclass(frozen=True)
class DvcLock:
    """The stages as `dvc.lock` recorded them, compared with the present settings and code."""

    root: Path
    stages: Mapping[str, Json]
    settings: Json
    known: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, project: Project) -> DvcLock:
        """Read `dvc.lock` and `params.yaml`. Raises TriptychError if `dvc.lock` is damaged."""
        return cls(project.root, read_stages(project.root), read_written(project.params))

    def state(self, stage: str) -> str:
        """Return `CURRENT`, `NEVER`, or the reason why the stage must run again."""
        if stage not in self.known:
            self.known[stage] = next(self._reasons(stage), CURRENT) if stage in self.stages else NEVER
        return self.known[stage]

    def _reasons(self, stage: str) -> Iterator[str]:
        entry = self.stages[stage]
        for key, recorded in entry["params"].get("params.yaml", {}).items():
            for name, (before, now) in sorted(differences(key, recorded, self._setting(key)).items()):
                yield f"{name} was {_shown(before)}, is {_shown(now)}"
        for dependency in entry["deps"]:
            yield from self._reasons_of_dependency(dependency["path"], dependency["md5"])
        for output in entry["outs"]:
            size = size_on_disk(self.root / output["path"])
            if size is None:
                yield f"{output['path']} is missing"
            elif size != output.get("size", size):
                yield f"{output['path']} was changed or damaged"

    def _reasons_of_dependency(self, path: str, md5: str) -> Iterator[str]:
        if path in self._writers:
            writer, written = self._writers[path]
            if self.state(writer) != CURRENT:
                yield f"waits for {writer} ({self.state(writer)})"
            elif written != md5:
                yield f"{path} has changed"
        elif path.startswith("src/") and content_hash(self.root / path) != md5:
            yield f"{path} has changed"

    @cached_property
    def _writers(self) -> dict[str, tuple[str, str]]:
        """By path of an output, the stage that wrote it and its hash; without stages that are no longer defined."""
        return {
            out["path"]: (name, out["md5"])
            for name, entry in self.stages.items()
            if self._is_defined(name)
            for out in entry["outs"]
        }

    def _is_defined(self, stage: str) -> bool:
        kind, _, item = stage.partition("@")
        return kind not in STAGE_SECTIONS or item in self.settings.get(STAGE_SECTIONS[kind], ())

    def _setting(self, key: str) -> object:
        try:
            return reduce(lambda part, name: part[name], key.split("."), self.settings)
        except (KeyError, TypeError):
            return MISSING


def differences(key: str, before: object, now: object) -> dict[str, tuple[object, object]]:
    """Return, by dotted key, the values that differ, before and now."""
    if isinstance(before, dict) and isinstance(now, dict):
        found: dict[str, tuple[object, object]] = {}
        for name in {**before, **now}:
            found |= differences(f"{key}.{name}", before.get(name, MISSING), now.get(name, MISSING))
        return found
    return {} if before == now else {key: (before, now)}


def _shown(value: object) -> str:
    return "missing" if value is MISSING else json.dumps(value, default=str)
