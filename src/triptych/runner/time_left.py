"""How long the stages of a run take: from the journal, or before their first run from their budgets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from triptych.core.errors import TriptychError
from triptych.core.json_files import flatten, is_number, read_json
from triptych.core.settings_types import value_at
from triptych.repository.project import Project

if TYPE_CHECKING:
    from triptych.settings.params import Settings

OVERHEAD = 2.0  # seconds of a stage before and after its own work: its start, DVC's hashes
WITHOUT_BUDGET = {"evaluate": 10.0, "report": 6.0}  # seconds of stages that the journal does not have
TRAININGS = {"train": "experiments", "study": "studies", "classifier": "classifiers"}  # sections by kind of stage
PRIOR_SECONDS = 30.0  # after so much work, the measured pace counts as much as the expected one


def expected_seconds(project: Project, settings: Settings, stages: Iterable[str]) -> dict[str, float]:
    """Return about how many seconds each stage takes: as long as the last time, or as its budget suggests.

    The trainings in the journal show how much slower or faster this machine is than that of the baseline.
    """
    recorded = {stage: time for stage, time in durations(project).items() if _has_profile(project, settings, stage)}
    trainings = _trainings(project, settings)
    both = recorded.keys() & trainings.keys()
    estimated = sum(trainings[stage] for stage in both)
    pace = sum(recorded[stage] for stage in both) / estimated if estimated else 1.0
    usual = mean(trainings.values()) if trainings else 30.0
    found = {}
    for stage in stages:
        kind = stage.partition("@")[0]
        guess = WITHOUT_BUDGET.get(kind, usual if kind in TRAININGS else 1.0)
        found[stage] = OVERHEAD + recorded.get(stage, pace * trainings.get(stage, guess))
    return found


def durations(project: Project) -> dict[str, float]:
    """Return the seconds of the last execution of each stage in the journal.

    Entries that are damaged, or that no DVC stage has written, are left out.
    """
    seconds = {}
    for path in sorted((project.private / "journal").glob("*/*.json"), key=lambda path: path.stat().st_mtime):
        with suppress(TriptychError, KeyError, TypeError, ValueError):
            entry = read_json(path)
            seconds[entry["dvc_stage"]] = float(entry["seconds"])
    return seconds


def _has_profile(project: Project, settings: Settings, stage: str) -> bool:
    """Return whether the last results of the model of a stage, if there are any, are of the present profile."""
    return _numbers(project.results(_result_name(stage))).get("profile", settings.profile) == settings.profile


def _trainings(project: Project, settings: Settings) -> dict[str, float]:
    """Return the seconds of the trainings in the baseline of the profile, in proportion to the present budgets."""
    from triptych.verify.baseline import baseline_file

    found = {}
    for kind, section in TRAININGS.items():
        for name, entry in getattr(settings, section).items():
            stage, key = f"{kind}@{name}", "iterations" if kind == "study" else "epochs"
            kept = _numbers(baseline_file(project, _result_name(stage), settings.profile))
            budget = value_at(getattr(entry, key), settings.profile)
            if is_number(kept.get("run.train_seconds")) and is_number(kept.get(key)):
                found[stage] = kept["run.train_seconds"] * budget / max(kept[key], 1)
    return found


def _result_name(stage: str) -> str:
    kind, _, name = stage.partition("@")
    return f"classifier-{name}" if kind == "classifier" else name


def _numbers(path: Path) -> dict[str, Any]:
    """Return a file of results by dotted key; empty if it is missing or damaged, which other commands report."""
    with suppress(TriptychError):
        return flatten(read_json(path)) if path.exists() else {}
    return {}


def time_left(
    expected: Mapping[str, float],
    finished: Mapping[str, float],
    running: Mapping[str, tuple[float, float]],
    workers: int,
) -> float:
    """Return about how many seconds remain.

    `finished` are the seconds that stages took. `running` are the seconds since each stage began, and those that it
    reports to be left. Finished stages show how much faster or slower this machine is than expected.
    """
    pace = (sum(finished.values()) + PRIOR_SECONDS) / (sum(expected[stage] for stage in finished) + PRIOR_SECONDS)
    rest = {stage: pace * seconds for stage, seconds in expected.items() if stage not in finished}
    for stage, (spent, reported) in running.items():
        rest[stage] = max(rest[stage] - spent, reported, 1.0)
    return max([sum(rest.values()) / workers, *(rest[stage] for stage in running)], default=0.0)
