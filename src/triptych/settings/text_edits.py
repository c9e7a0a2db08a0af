"""Edits of the text of `params.yaml`, at the positions of its YAML nodes: all other bytes of the file stay."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file
from triptych.settings.params import LARGEST, parse_text

Edit = tuple[int, int, str]
"""Start and end of a part of the text, and its replacement."""


def sections(text: str, names: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield name and node of these sections.

    Raises TriptychError if the entries of one stand on one line, or if the file has an alias: the node of an alias is
    that of its anchor, which stands elsewhere.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.events import AliasEvent

    if any(isinstance(event, AliasEvent) for event in YAML(typ="rt", pure=True).parse(text)):
        raise TriptychError("params.yaml has an alias such as *name, which this command cannot edit: write it out")
    for section, node in YAML(typ="rt", pure=True).compose(text).value:
        if section.value not in names:
            continue
        if node.flow_style and node.value:
            raise TriptychError(f"params.yaml: {section.value}: write each entry on lines of its own")
        yield section.value, node


def node_end(node: Any) -> int:  # noqa: ANN401 (a node of ruamel.yaml)
    """Return where the last character of a node ends, without comments that follow it."""
    if isinstance(node.value, str) or node.flow_style or not node.value:
        return node.end_mark.index
    last = node.value[-1]
    return node_end(last[1] if isinstance(last, tuple) else last)


def line_end(text: str, node: Any) -> int:  # noqa: ANN401 (a node of ruamel.yaml)
    """Return where the last line of a node ends, with its line break and a comment on the same line."""
    return text.find("\n", node_end(node)) + 1 or len(text)


def write_edits(params: Path, text: str, edits: Sequence[Edit]) -> None:
    """Write the text after edits that do not overlap. Raises TriptychError, and writes nothing, if it is not valid."""
    changed = _edited(text, edits).encode()
    if len(changed) > LARGEST:
        size = f"{len(changed):,} bytes, more than {LARGEST:,}"
        raise TriptychError(f"{params.name} would have {size}: add fewer entries")
    parse_text(changed, params.name)
    with atomic_file(params) as draft:
        draft.write_bytes(changed)
        shutil.copymode(params, draft)


def _edited(text: str, edits: Sequence[Edit]) -> str:
    """Return the text after the edits. An insertion begins on a new line."""
    pieces, done = [], 0
    for start, end, words in sorted(edits, key=lambda edit: edit[0]):
        between = text[done:start]
        no_break = words and between and not between.endswith("\n")  # at the end of the file
        pieces += [between, "\n" if no_break else "", words]
        done = end
    return "".join([*pieces, text[done:]])
