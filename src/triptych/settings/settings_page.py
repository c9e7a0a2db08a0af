"""`triptych settings`: every key of `params.yaml` with its values and its meaning, from the models that check it."""

from __future__ import annotations

import inspect
import json
import re
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

Every key of `params.yaml`. `triptych settings` makes this page from the models that check the file.

- A key without a default must be there. An unknown key is refused.
- An experiment or a study holds `recipe`, the keys that its table below marks *in the entry*, and the settings that its
  recipe lacks or that differ. All its other settings stand in the recipe. Mappings merge key by key:
  `model: {latent: 2}` changes one key of the recipe's `model`.
- `key: null` in an entry turns off an option that its recipe turns on.
- `triptych check --resolved NAME` prints all settings of an experiment or a study.
- Rules that involve several keys are not listed. A file that breaks one is refused before anything runs, in a sentence
  that says what to do.
"""
OPEN = {"Section": "the keys of the family, below", "StudySettings": "the keys of the kind, below"}
RECIPE = "| `recipe` | text | an entry of `recipes`; *in the entry* |"
TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}


def settings_page() -> str:
    """Return the page as Markdown."""
    sections: dict[str, type[Section]] = {"`params.yaml`": Settings}
    sections |= {f"`model` of family `{family}`": load_settings_model(family) for family in FAMILIES}
    sections |= {f"an entry under `studies` with `study: {kind}`": load_study_settings(kind) for kind in STUDIES}
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
    yield f"## {names[name]}\n"
    yield f"{_one_line(definition.get('description', ''))}\n"
    yield "| key | value | |"
    yield "| --- | --- | --- |"
    is_entry = not definition["properties"].keys().isdisjoint(("family", "study"))
    if is_entry:
        yield RECIPE
    for key, value in definition["properties"].items():
        notes = [_one_line(value.get("description", ""))]
        if key not in definition.get("required", ()):
            notes.append(f"*{_default(key, value.get('default'))} by default*")
        if is_entry and key in ENTRY_KEYS:
            notes.append("*in the entry*")
        yield f"| `{key}` | {_value(value, names, definitions)} | {'; '.join(filter(None, notes))} |"
    yield ""


def _default(key: str, value: object) -> str:
    if value is True:
        return "on"
    off = value in (None, {}, 0, 1) and key != "seed"
    return "off" if off else str(value).replace("'", "")


def _value(node: Json, names: dict[str, str], definitions: Json) -> str:
    """Return the values that a key may have, in words."""
    kind = node.get("type")
    if "$ref" in node and (inner := _by_profile(definitions[_target(node)])):
        words = f"by profile, {_value(inner, names, definitions)}"
    elif "oneOf" in node:
        words = f"{_value(node['oneOf'][0], names, definitions)}, or one for each profile"
    elif "$ref" in node:
        words = OPEN.get(_target(node)) or f"[{names[_target(node)]}](#{_anchor(names[_target(node)])})"
    elif "anyOf" in node:
        words = " or ".join(_value(part, names, definitions) for part in node["anyOf"] if part.get("type") != "null")
    elif "enum" in node or "const" in node:
        words = ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    elif kind == "array":
        words = f"list{_count(node)} of {_value(node['items'], names, definitions)}"
    elif kind == "object":
        inner = node.get("additionalProperties") or next(iter(node["patternProperties"].values()))
        words = "settings" if inner is True else f"by name, {_value(inner, names, definitions)}"
    else:
        words = " ".join(filter(None, [TYPES[kind], _bounds(node)]))
    return words


def _by_profile(definition: Json) -> Json | None:
    """Return the value of a definition with one value for each profile."""
    properties = definition.get("properties", {})
    return properties["quick"] if set(properties) == set(PROFILES) else None


def _bounds(node: Json) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    known = {key: node[key] for key in words if key in node}
    if "minimum" in known:
        known.pop("exclusiveMinimum", None)
    return " ".join(f"{words[key]} {_shown(value)}" for key, value in known.items())


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
