"""Add and remove seeds of experiments and studies in `params.yaml`. Another seed is another entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count as count_from
from pathlib import Path
from typing import Any

from triptych.core.errors import TriptychError
from triptych.settings.params import Settings, parse_text
from triptych.settings.recipes import SECTIONS
from triptych.settings.text_edits import line_end, node_end, sections, write_edits


def set_seeds(params: Path, count: int, names: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Edit `params.yaml` so that each of the experiments and studies `names`, or each of all, has `count` seeds.

    A new entry is a copy of the first with the next free seed, named `<first>-seed-<seed>`, and follows the others.
    Surplus entries are removed, the last first. All other bytes of the file stay. Return the names that were added
    and those that were removed. Raises TriptychError if a name is unknown or taken.
    """
    data = params.read_bytes()
    settings, text = parse_text(data, params.name), data.decode()
    entries = _entries(text)
    for name in names:
        settings.entry(name)
    edits, added, removed = [], [], []
    for first, group in settings.seed_groups().items():
        if names and not set(names) & set(group):
            continue
        for name in group[count:]:
            edits.append((*entries[name].lines, ""))
            removed.append(name)
        for seed in _next_seeds(settings, group, count - len(group)):
            name = f"{first}-seed-{seed}"
            if name in entries:
                raise TriptychError(f"{params.name} already has an entry {name}, with other settings; rename it")
            end = entries[group[-1]].lines[1]
            edits.append((end, end, entries[first].copied(name, seed)))
            added.append(name)
    write_edits(params, text, edits)
    return added, removed


def _next_seeds(settings: Settings, group: Sequence[str], number: int) -> list[int]:
    taken = {settings.entry(name).seed for name in group}
    free = (seed for seed in count_from(settings.entry(group[0]).seed + 1) if seed not in taken)
    return [next(free) for _ in range(number)]


@dataclass(frozen=True)
class _Entry:
    """The text of an experiment or a study, with its YAML nodes."""

    text: str
    key: Any
    value: Any

    @property
    def lines(self) -> tuple[int, int]:
        """Where its first line starts, and where its last line ends."""
        start = self.key.start_mark.index - self.key.start_mark.column
        return start, line_end(self.text, self.value)

    def copied(self, name: str, seed: int) -> str:
        """Return the same lines for another name and seed, without the comment behind the name."""
        first = self.value.start_mark
        start = first.index if self.value.flow_style else first.index - first.column
        old = next(value for key, value in self.value.value if key.value == "seed")
        before, after = self.text[start : old.start_mark.index], self.text[old.end_mark.index : node_end(self.value)]
        separator = " " if self.value.flow_style else "\n"
        return f"{' ' * self.key.start_mark.column}{name}:{separator}{before}{seed}{after}\n"


def _entries(text: str) -> dict[str, _Entry]:
    """Return all experiments and studies. Raises TriptychError if they stand on one line."""
    found = {}
    for _, node in sections(text, SECTIONS):
        found |= {key.value: _Entry(text, key, value) for key, value in node.value}
    return found
