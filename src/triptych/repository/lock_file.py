"""Read `dvc.lock`, and replace one entry in its text without rewriting the others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file
from triptych.core.messages import one_line

if TYPE_CHECKING:
    from dvc.stage import PipelineStage

LOCK = "dvc.lock"
HEAD = "schema: '2.0'\nstages:\n"
STAGES = re.compile(r"(?<=^stages:\n)(?:(?: .*)?\n)+|(?<=^stages:\n)\Z", re.MULTILINE)
NAME = re.compile(r"^  (?=[^ #])(.+):\n", re.MULTILINE)


def read_stages(root: Path) -> dict[str, dict[str, Any]]:
    """Return each stage's entry, always with `deps`, `params` and `outs`; empty if there is no file.

    Raises TriptychError if the file is damaged. The parser is ruamel's in C, which DVC uses too: its parser in Python
    takes seconds for fifty stages.
    """
    lock = root / LOCK
    if not lock.exists():
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        stages = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"]
        entries = {name: {"deps": [], "outs": [], "params": {}, **entry} for name, entry in stages.items()}
        for entry in entries.values():
            for kind in ("deps", "outs"):
                entry[kind] = [{**each, "path": str(each["path"]), "md5": str(each["md5"])} for each in entry[kind]]
            entry["params"] = {file: {**values} for file, values in entry["params"].items()}
    except (AttributeError, KeyError, TypeError, ValueError, YAMLError) as error:
        problem = f"dvc.lock is damaged ({one_line(error)})"
        advice = (
            "run `git checkout dvc.lock`, or delete it and run `triptych repro`, which finds results in DVC's cache"
        )
        raise TriptychError(f"{problem}: {advice}") from None
    return entries


def write_entry(lock: Path, stage: PipelineStage, order: Sequence[str]) -> bool:
    """Write the entry of a stage that DVC has run. The caller holds DVC's lock; the file is replaced as a whole.

    Return False, and write nothing, if the file does not have DVC's layout. See `with_entry` for the order.
    """
    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize import dumps_yaml

    text = lock.read_text(encoding="utf-8") if lock.exists() else HEAD
    entry = dumps_yaml({"stages": to_lockfile(stage)}).removeprefix("stages:\n")
    changed = with_entry(text, entry, order)
    if changed is None:
        return False
    with atomic_file(lock) as draft:
        draft.write_text(changed, encoding="utf-8")
    return True


def with_entry(text: str, entry: str, order: Sequence[str]) -> str | None:
    """Return the text of a `dvc.lock` with an entry added or replaced; None if the text does not have DVC's layout.

    Entries stand in this order. Entries that it does not name stand last and keep their order.
    """
    found = STAGES.search(text)
    if not found or not NAME.match(found[0] or entry):
        return None
    entries = _entries(found[0] + entry)
    place = {name: index for index, name in enumerate(order)}
    ordered = sorted(entries, key=lambda name: place.get(name, len(place)))
    return text[: found.start()] + "".join(entries[name] for name in ordered) + text[found.end() :]


def entry_in(text: str, name: str) -> str | None:
    """Return the text of a stage's entry in the text of a `dvc.lock`, for `with_entry`; None if there is none."""
    found = STAGES.search(text)
    return _entries(found[0]).get(name) if found else None


def _entries(text: str) -> dict[str, str]:
    """Return the text of each entry by its stage. Of two entries of one stage, the last one counts."""
    parts = NAME.split(text)[1:]
    return {name: f"  {name}:\n{body}" for name, body in zip(parts[::2], parts[1::2], strict=True)}
