"""The kinds of studies by name: the one place that a new kind is added to.

A kind is a package `triptych.studies.<name>` with four modules: `settings`, whose `Settings` validates an entry under
`studies:`; `training`, whose `build` returns the configurations in training; `measure`, whose `measure` gives the
numbers; and `pictures`, whose `draw_pictures` draws. No name is also a family's: MLflow knows runs by either.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from triptych.core.schema import shown

if TYPE_CHECKING:
    from types import ModuleType

    from triptych.studies.settings import StudySettings

STUDIES = {
    "planar": "Planar flows in the plane",
    "dirac": "Dirac games",
}
PARTS = ("training", "measure", "pictures")


def load_study_settings(kind: str) -> type[StudySettings]:
    """The class that validates a study of this kind. Imports nothing heavy."""
    return import_module(f"triptych.studies.{kind}.settings").Settings


def load_study(kind: str) -> tuple[ModuleType, ...]:
    """The kind's modules `training`, `measure` and `pictures`."""
    return tuple(import_module(f"triptych.studies.{kind}.{part}") for part in PARTS)


def study_modules(kind: str) -> list[str]:
    """The names of the modules that are loaded for this kind."""
    return [f"triptych.studies.{kind}.{part}" for part in ("settings", *PARTS)]


def parse_study(data: Any) -> Any:  # noqa: ANN401 (whatever the YAML holds)
    """The entry as its kind's settings; what is no mapping is left for the caller to refuse.

    Raises ValueError, naming the known kinds, if the kind is unknown.
    """
    if not isinstance(data, dict):
        return data
    kind = data.get("study")
    if kind not in tuple(STUDIES):  # whatever the YAML holds, hashable or not
        raise ValueError(f"study is {shown(kind)}; known studies: {', '.join(STUDIES)}")
    return load_study_settings(kind).model_validate(data)
