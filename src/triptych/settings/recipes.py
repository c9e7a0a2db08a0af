"""Recipes: complete each experiment and study by its recipe, and find where one of its keys is written."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from triptych.core.settings_types import shown

Json = dict[Any, Any]

SECTIONS = ("experiments", "studies")
ENTRY_KEYS = ("recipe", "family", "dataset", "reference", "study", "seed")  # they stand in the entry, not in a recipe


class SettingsError(ValueError):
    """An error at one key: `place` is the key's path in the merged settings, `words` continue the sentence."""

    def __init__(self, place: Sequence[str], words: str) -> None:
        super().__init__(words)
        self.place, self.words = place, words


def merge_recipes(data: Json) -> Json:
    """Return the settings with each experiment and study merged over its recipe, without the key `recipe`.

    Mappings merge key by key; every other value of the entry replaces that of the recipe, and null removes it. Parts
    of a wrong type stay as they are, so that validation refuses them. Raises SettingsError if a recipe is missing or
    unusable.
    """
    recipes = data.get("recipes")
    if not isinstance(recipes, dict):
        return data
    merged = dict(data)
    for section in SECTIONS:
        if isinstance(data.get(section), dict):
            merged[section] = {
                name: _merged_entry(entry, recipes, (section, str(name))) for name, entry in data[section].items()
            }
    return merged


def _merged_entry(entry: Any, recipes: Json, place: tuple[str, str]) -> Any:  # noqa: ANN401 (any YAML value)
    if not isinstance(entry, dict):
        return entry
    known = ", ".join(map(str, recipes)) or "none"
    if "recipe" not in entry:
        for misspelt in get_close_matches("recipe", map(str, entry), 1):
            raise SettingsError((*place, misspelt), ": unknown key; write `recipe`")
        raise SettingsError((*place, "recipe"), f": this key is missing; known recipes: {known}")
    name = entry["recipe"]
    if name not in list(recipes):  # a list, since the name may be unhashable
        raise SettingsError((*place, "recipe"), f": unknown recipe {shown(name)}; known recipes: {known}")
    recipe = recipes[name]
    if not isinstance(recipe, dict):
        raise SettingsError(("recipes", str(name)), f": write keys and values here, not {shown(recipe)}")
    for key in ENTRY_KEYS:
        if key in recipe:
            raise SettingsError(("recipes", str(name), key), f": move this key into {'.'.join(place)}")
    return _merged(recipe, {key: value for key, value in entry.items() if key != "recipe"})


def _merged(base: Json, changes: Json) -> Json:
    merged = dict(base)
    for key, value in changes.items():
        if key in base and value is None:
            del merged[key]
        else:
            both = isinstance(value, dict) and isinstance(base.get(key), dict)
            merged[key] = _merged(base[key], value) if both else value
    return merged


def written_place(data: Any, place: Sequence[str]) -> Sequence[str]:  # noqa: ANN401 (any YAML value)
    """Return the path at which a key of the merged settings is written: in the entry, or in its recipe.

    A missing key belongs to the recipe, unless only the entry holds the mapping around it.
    """
    if len(place) < 3 or place[0] not in SECTIONS or place[2] in ENTRY_KEYS:
        return place
    section, name, *path = place
    entry = {str(key): value for key, value in data[section].items()}[name]  # YAML reads the name 2024 as a number
    if holds(entry, path) or not holds(data["recipes"][entry["recipe"]], path[:-1]):
        return place
    return ["recipes", str(entry["recipe"]), *path]


def holds(tree: Any, path: Sequence[str]) -> bool:  # noqa: ANN401 (any YAML value)
    """Return whether the path exists. Places inside a list count as existing."""
    for key in path:
        if isinstance(tree, list):
            return True
        values = {str(name): value for name, value in tree.items()} if isinstance(tree, dict) else {}
        if key not in values:
            return False
        tree = values[key]
    return True
