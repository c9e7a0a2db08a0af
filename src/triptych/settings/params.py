"""Load and check `params.yaml`. A key that is unknown, of the wrong type or impossible is refused in one sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from triptych.core.errors import TriptychError
from triptych.core.files import read_bytes
from triptych.core.messages import one_line
from triptych.core.settings_types import MISSING_KEY, first_problem, key_path
from triptych.settings.consistency import check_consistency
from triptych.settings.recipes import SettingsError, holds, merge_recipes, written_place
from triptych.settings.sections import Settings
from triptych.settings.unused_recipes import check_unused_recipes

LARGEST = 1 << 20  # bytes of a settings file
DUPLICATE = re.compile(r'found duplicate key "(.*?)" with value', re.DOTALL)  # in ruamel's message


def load(path: Path) -> Settings:
    """Read and validate a settings file."""
    text = read_bytes(path, LARGEST, "make it a readable file of at most 1 MiB")
    return parse_text(text, path.name, path.parent / "data")


def read_written(path: Path) -> dict[str, Any]:
    """Return the content of a settings file as it is written, or an empty mapping without the file.

    The parser in C is fast, and safe for a file that `load` has accepted.
    """
    from ruamel.yaml import YAML

    if not path.exists():
        return {}
    return YAML(typ="safe").load(read_bytes(path, LARGEST, "restore it").decode())


def parse_text(text: bytes, origin: str = "params.yaml", data: Path | None = None) -> Settings:
    """Validate the text of a settings file, in YAML 1.2 as DVC reads it (so `1e-3` is a number).

    The folder `data` holds own images, whose shapes must fit the models. The parser is in pure Python: thousands of
    brackets overflow the stack of the parser in C.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        tree = YAML(typ="safe", pure=True).load(text.decode())
    except (YAMLError, ValueError, RecursionError, OverflowError) as error:  # ValueError: not UTF-8, or no such date
        raise TriptychError(_yaml_problem(error, origin)) from None
    return parse(tree, origin, data)


def _yaml_problem(error: Exception, origin: str) -> str:
    """Return a sentence about an error of ruamel, without its advice to programmers."""
    if not (mark := getattr(error, "problem_mark", None)):
        reason = one_line(error).replace('in "<unicode string>", ', "at ")
        return f"{origin} is not valid YAML: {reason}"
    if found := DUPLICATE.match(error.problem):
        return f"{origin}, line {mark.line + 1}: the key {key_path([found[1]])} stands twice in its mapping; delete one"
    reason = ", ".join(filter(None, [error.context, error.problem]))
    return f"{origin} is not valid YAML: line {mark.line + 1}: {one_line(ValueError(reason))}"


def parse(tree: object, origin: str = "params.yaml", data: Path | None = None) -> Settings:
    """Validate parsed YAML. Raises TriptychError, one sentence, at the first key that is wrong."""
    if not isinstance(tree, dict):
        raise TriptychError(f"{origin} must hold a mapping of settings, but it holds {type(tree).__name__}")
    try:
        settings = Settings.model_validate(merge_recipes(tree))
        check_consistency(settings, data)
        check_unused_recipes(tree)
    except ValidationError as error:
        place, reason = first_problem(error)
        words = f": {reason}" if place else reason
    except SettingsError as error:
        place, words = error.place, error.words
    except RecursionError:
        place, words = [], "an anchor contains itself; write its entries out"
    else:
        return settings
    written = written_place(tree, place)
    if written != place and words.startswith(": unknown key"):
        words += f"; if the recipe is of another family, change {key_path([*place[:2], 'recipe'])}"
    if words == f": {MISSING_KEY}" and holds(tree, written):
        words = " is null, but this key is required"
    sentence = f"{origin}: {key_path(written)}{words}"
    raise TriptychError(" ".join(sentence.split()))
