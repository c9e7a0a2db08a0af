"""Repeats: further trainings of an experiment or a study, each with a seed of its own, and what they say together.

`params.yaml` says how many there are (`seeds`). A repeat is named `<name>-seed-<seed>`, and is a stage item and a run
of its own. DVC cannot count: it takes the repeats from `seeds.yaml`, which `triptych seeds` and `triptych repro` write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.settings.params import Settings

REPEAT = re.compile(r"-seed-(\d+)$")
REPEATED = ("train", "evaluate", "study")  # stages that a repeat has
SETTING = re.compile(r"(?m)^(seeds: +)(?:\d+|\{[^{}\n]*\}|\[[^\n]*?\])(?= *(?:#.*)?$)")  # of params.yaml, in one line
HEAD = "# For dvc.yaml, the repeats that `seeds` in params.yaml asks for; written by `triptych seeds`."
NONE = f"{HEAD}\nexperiment_repeats: {{}}\nstudy_repeats: {{}}\n"  # as good as no file, for whoever is not DVC


def repeat_name(name: str, seed: int) -> str:
    """What the training of `name` with a further seed is called."""
    return f"{name}-seed-{seed}"


def base_of(name: str) -> str:
    """The experiment or study that `name` repeats, or is."""
    return REPEAT.sub("", name)


def is_repeat(name: str) -> bool:
    """Whether that is the name of a repeat: no entry of `params.yaml` may have such a one."""
    return REPEAT.search(name) is not None


def stage_name(stage: str, name: str) -> str:
    """What DVC calls a stage of this item: `train@vae-20d`, or `train-seed@vae-20d-seed-1`."""
    return f"{stage}-seed@{name}" if is_repeat(name) and stage in REPEATED else f"{stage}@{name}"


def further_seeds(wanted: int | Sequence[int], own: int) -> list[int]:
    """The seeds beside its own: of a number n the n - 1 after it, of a list those in it."""
    if isinstance(wanted, int):
        return list(range(own + 1, own + wanted))
    return [seed for seed in dict.fromkeys(wanted) if seed != own]


def for_dvc(settings: Settings) -> str:
    """What `seeds.yaml` is to hold: every repeat, with what the stages in `dvc.yaml` need to know of it."""
    experiments = {
        name: {"experiment": base_of(name), **{key: getattr(item, key) for key in ("family", "dataset", "reference")}}
        for name, item in settings.all_experiments.items()
        if is_repeat(name)
    }
    studies = {
        name: {"entry": base_of(name), "study": item.study}
        for name, item in settings.all_studies.items()
        if is_repeat(name)
    }
    lines = [HEAD]
    for section, found in (("experiment_repeats", experiments), ("study_repeats", studies)):
        lines += [f"{section}:"] if found else [f"{section}: {{}}"]
        lines += [f"  {name}: {json.dumps(item)}" for name, item in found.items()]
    return "\n".join(lines) + "\n"


def write_for_dvc(settings: Settings, path: Path) -> bool:
    """Bring `seeds.yaml` up to date; tell whether there was anything to change."""
    text = for_dvc(settings)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    with atomic_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return True


def set_seeds(params: Path, settings: Settings, count: int, names: Sequence[str] = ()) -> None:
    """Write into `params.yaml` how many trainings each, or each of these, is to have; all else in the file stays.

    Raises TriptychError where that would write over seeds by name, or where they take several lines.
    """
    wanted: object = count
    if names:
        entries = [*settings.experiments, *settings.studies]
        before = settings.seeds if isinstance(settings.seeds, dict) else dict.fromkeys(entries, settings.seeds)
        wanted = {name: each for name, each in before.items() if each != 1} | dict.fromkeys(names, count)
    elif not isinstance(settings.seeds, int):
        raise TriptychError(f"{params.name} gives seeds by name, or as a list: change them there, or name experiments")
    shown = json.dumps(wanted).replace('"', "")  # the names need no quotes
    text, found = SETTING.subn(rf"\g<1>{shown}", params.read_text(encoding="utf-8"))
    if not found:
        raise TriptychError(f"{params.name} gives seeds in several lines: change them there")
    with atomic_file(params) as draft:
        draft.write_text(text, encoding="utf-8")


def check_for_dvc(settings: Settings, path: Path) -> None:
    """Raises TriptychError where `seeds.yaml` holds other repeats than `params.yaml` asks for."""
    wanted = for_dvc(settings)
    if (path.read_text(encoding="utf-8") if path.exists() else NONE) != wanted:
        raise TriptychError(f"{path.name} does not hold the repeats that params.yaml asks for: run `triptych seeds`")


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """By experiment or study, its trainings, its own first."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(base_of(name), []).append(name)
    return groups
