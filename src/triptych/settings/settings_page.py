"""`triptych settings`: every key of `params.yaml` with its values and its meaning, from the models that check it."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import models_json_schema

from triptych.core.settings_types import PROFILES, Section
from triptych.models.common.registry import FAMILIES, load_settings_model
from triptych.settings.recipes import ENTRY_KEYS
from triptych.settings.sections import Settings
from triptych.studies.kinds import STUDIES, load_study_settings

Json = dict[str, Any]

HEAD = """# Settings

This page explains the keys of `params.yaml`: what they mean, and which values they accept. It has
one section per part of the file. The examples show how keys are written; their values are not
those of the file.

`triptych settings` prints this page from the classes that check the file.

- A key whose default is *required* must be present. An unknown key is an error.
- *off* means that the option is not used. `key: null` in an experiment removes the key of its
  recipe, so that the default applies.
- The entry of an experiment or a study names its recipe, and has the keys that are marked *in the
  entry*. It also has the settings that differ from the recipe, or that the recipe lacks.
- Mappings merge key by key: `model: {latent: 2}` changes one key of the `model` of the recipe.
- *by profile* means `{quick: ..., full: ...}`: one value for each profile.
- `triptych check --resolved NAME` prints all settings of an experiment or a study.
- `triptych check` also checks rules that involve several keys. Its message says what to do.
"""
OPEN = {"Section": "the keys of the family, below", "StudySettings": "the keys of the kind, below"}
RECIPE = "| `recipe` | text | required, in the entry | the name of an entry of `recipes` |"
TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}


def settings_page() -> str:
    """Return the page as Markdown."""
    sections: dict[str, type[Section]] = {"The sections": Settings}
    sections |= {f"`model` of family `{family}`": load_settings_model(family) for family in FAMILIES}
    sections |= {f"study of kind `{kind}`": load_study_settings(kind) for kind in STUDIES}
    models = [(model, "validation") for model in sections.values()]
    places, schema = models_json_schema(models)
    names = {_target(place): title for place, title in zip(places.values(), sections, strict=True)}
    definitions = schema["$defs"]
    reached = dict.fromkeys(name for root in names for name in _reached(root, definitions))
    for name in reached:
        names.setdefault(name, _words(name))
    shown = [name for name in reached if name not in OPEN and not _by_profile(definitions[name])]
    return "\n".join([HEAD, *(line for name in shown for line in _section(name, names, definitions))])


def _reached(name: str, definitions: Json) -> Iterator[str]:
    """Yield a model and the models inside it, each after the one that contains it."""
    yield name
    for inner in re.findall(r'"\$ref": "[^"]*/([^"]*)"', json.dumps(definitions[name])):
        yield from _reached(inner, definitions)


def _section(name: str, names: dict[str, str], definitions: Json) -> Iterator[str]:
    definition = definitions[name]
    summary, _, example = inspect.cleandoc(definition["description"]).partition("\n\n")
    yield f"## {names[name]}\n"
    yield textwrap.fill(_one_line(summary), 100) + "\n"
    yield f"```yaml\n{example}\n```\n"
    yield "| key | value | default | meaning |"
    yield "| --- | --- | --- | --- |"
    is_entry = not definition["properties"].keys().isdisjoint(("family", "study"))
    if is_entry:
        yield RECIPE
    for key, value in definition["properties"].items():
        required = "required, in the entry" if is_entry and key in ENTRY_KEYS else "required"
        default = required if key in definition.get("required", ()) else _default(value.get("default"))
        meaning = _one_line(value.get("description", ""))
        yield f"| `{key}` | {_value(value, names, definitions)} | {default} | {meaning} |"
    yield ""


def _default(value: object) -> str:
    return "off" if value in (None, {}) else f"`{json.dumps(value)}`".replace('"', "")


def _value(node: Json, names: dict[str, str], definitions: Json) -> str:
    """Return the values that a key may have, in words."""
    kind = node.get("type")
    if "$ref" in node and (inner := _by_profile(definitions[_target(node)])):
        words = f"by profile: {_value(inner, names, definitions)}"
    elif "oneOf" in node:
        one = node["oneOf"][0]
        words = f"{_value(one, names, definitions)}, or one{' list' * (one.get('type') == 'array')} for each profile"
    elif "$ref" in node:
        words = OPEN.get(_target(node)) or f"[{names[_target(node)]}](#{_anchor(names[_target(node)])})"
    elif "anyOf" in node:
        words = " or ".join(_value(part, names, definitions) for part in node["anyOf"] if part.get("type") != "null")
    elif "enum" in node or "const" in node:
        words = ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    elif kind == "array":
        words = f"list{_count(node)}, each: {_value(node['items'], names, definitions)}"
    elif kind == "object":
        inner = node.get("additionalProperties") or next(iter(node["patternProperties"].values()))
        words = "settings" if inner is True else f"by name: {_value(inner, names, definitions)}"
    else:
        words = " ".join(filter(None, [TYPES[kind], _bounds(node)]))
    return words


def _by_profile(definition: Json) -> Json | None:
    """Return the value of a definition with one value for each profile."""
    properties = definition.get("properties", {})
    return properties["quick"] if set(properties) == set(PROFILES) else None


def _bounds(node: Json) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    known = {key: node[key] for key in words if key in node}
    if "minimum" in known:
        known.pop("exclusiveMinimum", None)
    if set(known) == {"minimum", "maximum"}:
        return f"from {_shown(known['minimum'])} to {_shown(known['maximum'])}"
    return ", ".join(f"{words[key]} {_shown(value)}" for key, value in known.items())


def _shown(bound: float) -> str:
    return "2^63" if bound == 2**63 else f"{int(bound):,}" if bound == int(bound) else f"{bound:g}"


def _count(node: Json) -> str:
    least, most = node.get("minItems", 0), node.get("maxItems")
    if most is None:
        return f" (at least {least})" if least else ""
    return f" ({least})" if least == most else f" ({least} to {most})"


def _target(node: Json) -> str:
    return node["$ref"].rpartition("/")[2]


def _words(name: str) -> str:
    """Return `profile settings` for `ProfileSettings`."""
    return re.sub("([A-Z])", r" \1", name.rpartition("__")[2]).lower().strip()


def _anchor(title: str) -> str:
    return re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))


def _one_line(text: str) -> str:
    return " ".join(inspect.cleandoc(text).split())
