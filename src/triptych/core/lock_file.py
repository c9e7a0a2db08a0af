"""`dvc.lock`: its entries read; and one put into the text as DVC would write it, at its place in an order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dvc.stage import PipelineStage

HEAD = "schema: '2.0'\nstages:\n"
STAGES = re.compile(r"(?<=^stages:\n)(?:(?: .*)?\n)+|(?<=^stages:\n)\Z", re.MULTILINE)
NAME = re.compile(r"^  (?=[^ #])(.+):\n", re.MULTILINE)


def read_stages(root: Path) -> dict[str, dict[str, Any]]:
    """Each stage's entry, with its outputs; none where there is no such file. Raises TriptychError if it is damaged.

    Parsed in C, as DVC does it: at fifty stages pure Python takes seconds.
    """
    lock = root / "dvc.lock"
    if not lock.exists():
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        stages = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"]
        entries = {name: {"outs": [], **entry} for name, entry in stages.items()}
        for entry in entries.values():
            entry["outs"] = [{**out, "path": str(out["path"]), "md5": str(out["md5"])} for out in entry["outs"]]
    except (AttributeError, KeyError, OSError, TypeError, ValueError, YAMLError) as error:
        reason = " ".join(str(error).split())
        raise TriptychError(f"dvc.lock is damaged ({reason}): run `git checkout dvc.lock`, or `dvc repro`") from None
    return entries


def splice(lock: Path, stage: PipelineStage, order: Sequence[str]) -> bool:
    """Write the entry of a stage that DVC has run, under DVC's lock; the file never stands half-written.

    Entries take the order given; those that it does not know come last, as they stood. Return False, and do nothing,
    if the file is not laid out as DVC does it.
    """
    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize import dumps_yaml

    text = lock.read_text(encoding="utf-8") if lock.exists() else HEAD
    changed = with_entry(text, dumps_yaml({"stages": to_lockfile(stage)}).removeprefix("stages:\n"), order)
    if changed is None:
        return False
    with atomic_file(lock) as draft:
        draft.write_text(changed, encoding="utf-8")
    return True


def entry_in(text: str, name: str) -> str | None:
    """The entry of a stage as it stands in the text of a `dvc.lock`, for `with_entry`; None if there is none."""
    found = STAGES.search(text)
    pieces = NAME.split(found[0])[1:] if found else []
    entries = dict(zip(pieces[::2], pieces[1::2], strict=True))
    return f"  {name}:\n{entries[name]}" if name in entries else None


def with_entry(text: str, entry: str, order: Sequence[str]) -> str | None:
    """The text of a `dvc.lock` with an entry added or replaced, in that order; None if the text is of another kind."""
    found = STAGES.search(text)
    if not found or not NAME.match(found[0] or entry):
        return None
    pieces = NAME.split(found[0] + entry)[1:]
    entries = dict(zip(pieces[::2], pieces[1::2], strict=True))
    place = {name: index for index, name in enumerate(order)}
    ordered = sorted(entries, key=lambda name: place.get(name, len(place)))
    return text[: found.start()] + "".join(f"  {name}:\n{entries[name]}" for name in ordered) + text[found.end() :]
