"""The kinds of studies by name: the only module that a new kind is added to.

A kind is a package `triptych.studies.<name>` with four modules:

| module | provides |
| --- | --- |
| `settings` | `Settings`, which validates an entry under `studies:` |
| `training` | `build`, which returns the study in training |
| `measure` | `measure`, which returns the numbers, and `headline_numbers`, which sums them up for DVC's tables |
| `pictures` | `draw_pictures` |

Kinds and model families share one set of names in MLflow, so a kind must not have the name of a family.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from triptych.core.settings_types import shown
from triptych.studies.settings import StudySettings

STUDIES = {"planar": "Planar flows in the plane", "dirac": "Dirac games"}
PARTS = ("training", "measure", "pictures")


def load_study_settings(kind: str) -> type[StudySettings]:
    """Return the class that validates a study of this kind. Imports no heavy package."""
    return import_module(f"triptych.studies.{kind}.settings").Settings


def load_study(kind: str) -> tuple[ModuleType, ...]:
    """Return the kind's modules `training`, `measure` and `pictures`."""
    return tuple(import_module(f"triptych.studies.{kind}.{part}") for part in PARTS)


def study_modules(kind: str) -> list[str]:
    """Return the names of all modules that are loaded for this kind."""
    return [f"triptych.studies.{kind}.{part}" for part in ("settings", *PARTS)]


def parse_study(data: Any) -> Any:  # noqa: ANN401 (any YAML value)
    """Return the entry as its kind's settings. Data that is not a mapping is returned as it is, for pydantic to refuse.

    Raises ValueError, with the known kinds, if the kind is unknown.
    """
    if not isinstance(data, dict):
        return data
    kind = data.get("study")
    if kind not in tuple(STUDIES):  # the YAML value may be unhashable
        raise ValueError(f"study is {shown(kind)}; known studies: {', '.join(STUDIES)}")
    return load_study_settings(kind).model_validate(data)
