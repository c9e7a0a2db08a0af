"""Check the recipes that no experiment or study uses.

The kind of such a recipe is not written anywhere. It is the family or study whose settings fit best.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from triptych.core.settings_types import UNKNOWN_KEY, Section, describe_problem
from triptych.models.common.registry import FAMILIES
from triptych.settings.experiment import Experiment
from triptych.settings.recipes import ENTRY_KEYS, SECTIONS, Json, SettingsError
from triptych.studies.kinds import STUDIES, load_study_settings

LEFT_TO_ENTRIES = ("missing", "value_error")  # keys that entries may add, and keys that do not fit together


def check_unused_recipes(tree: Json) -> None:
    """Raise SettingsError at the first key of an unused recipe that is unknown, or whose value is wrong."""
    used = [entry["recipe"] for section in SECTIONS for entry in tree[section].values()]
    for name, recipe in tree["recipes"].items():
        if name in used:
            continue
        for key in ENTRY_KEYS:
            if key in recipe:
                raise SettingsError(("recipes", str(name), key), ": move this key into an experiment or a study")
        for problem in min(_problems_by_kind(recipe), key=_misfit)[:1]:
            place, reason = describe_problem(problem)
            raise SettingsError(("recipes", str(name), *place), f": {reason}")


def _misfit(problems: list[Any]) -> tuple[int, int]:
    """Return the numbers of unknown keys and of errors."""
    return sum(problem["type"] == UNKNOWN_KEY for problem in problems), len(problems)


def _problems_by_kind(recipe: Json) -> Iterator[list[Any]]:
    """Yield pydantic's errors about a recipe for each family, then for each kind of study."""
    for family in FAMILIES:
        yield _problems(Experiment, recipe | {"family": family, "dataset": "any", "reference": "any", "seed": 0})
    for study in STUDIES:
        yield _problems(load_study_settings(study), recipe | {"study": study, "seed": 0})


def _problems(section: type[Section], entry: Json) -> list[Any]:
    try:
        section.model_validate(entry)
    except ValidationError as error:
        return [problem for problem in error.errors(include_url=False) if problem["type"] not in LEFT_TO_ENTRIES]
    return []
