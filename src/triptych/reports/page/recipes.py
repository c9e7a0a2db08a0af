"""The settings of an experiment on the page, and how they differ from its recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from triptych.core.file_names import MANIFEST
from triptych.core.json_files import flatten, read_json
from triptych.core.settings_types import resolve
from triptych.repository.project import Project
from triptych.settings.recipes import ENTRY_KEYS

NOT_SET = "not set"


@dataclass(frozen=True)
class UsedSettings:
    """The settings with which a model was trained, the name of its recipe, and where the two differ."""

    all: list[tuple[str, str]]
    recipe: str
    differences: list[tuple[str, str, str]]
    """Key, value, and the recipe's value."""


def used_settings(project: Project, name: str, written: dict[str, Any]) -> UsedSettings:
    """Return the settings of a trained model. `written` is the content of params.yaml.

    Without the model or its entry in params.yaml, the result is empty.
    """
    path = project.model(name) / MANIFEST
    entry = written.get("experiments", {}).get(name)
    if entry is None or not path.exists():
        return UsedSettings([], "", [])
    manifest = read_json(path)
    trained = flatten(manifest["settings"])
    recipe = flatten(resolve(written["recipes"][entry["recipe"]], manifest["profile"]))
    own = {key for key in flatten(resolve(entry, manifest["profile"])) if key.partition(".")[0] not in ENTRY_KEYS}
    set_here = [key for key in dict.fromkeys([*trained, *recipe]) if key in own | recipe.keys()]
    changed = {key: trained.get(key) for key in set_here if trained.get(key) != recipe.get(key)}
    return UsedSettings(
        [(key, _words(value)) for key, value in trained.items() if value is not None],
        entry["recipe"],
        [(key, _words(value), _words(recipe.get(key))) for key, value in changed.items()],
    )


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return NOT_SET if value is None else str(value)
