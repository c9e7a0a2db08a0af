"""`triptych compare`: the settings and the headline numbers in which two revisions differ."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import chdir
from itertools import groupby
from pathlib import Path
from typing import Any

from triptych.core.errors import TriptychError
from triptych.core.json_files import flatten
from triptych.core.messages import one_line, warn
from triptych.core.settings_types import PROFILES
from triptych.repository.project import Project
from triptych.settings.recipes import SECTIONS

WORKSPACE = "workspace"  # DVC's name of the working tree
DEFAULT = "default"  # the value of a key that is null, in the table

Changes = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""The differences that DVC found, by file and key: the value before (`old`), after (`new`), and their difference."""


def compare(project: Project, revision: str, other: str | None) -> str:
    """Return a table of the differences between `revision` and `other`, by default the working tree.

    A revision is a git commit, branch or tag, or the name of a DVC experiment. Raises TriptychError if there is no such
    revision, or no commit at all.
    """
    project.require_commit()
    settings, nulls, numbers = _differences(project, revision, other or WORKSPACE)
    rows = [*_rows_of_settings(settings, nulls), *_rows_of_numbers(numbers)]
    if not rows:
        return "No setting and no headline number differs."
    lines = [("", revision, other or "working tree", "change"), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _differences(project: Project, *revisions: str) -> tuple[Changes, list[set[str]], Changes]:
    """Return the differences in settings, the settings that are null in each revision, and those in numbers."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with chdir(project.root), Repo() as repo:
            found = [repo.params.diff(*revisions, all=True), repo.metrics.diff(*revisions)]
            nulls = [_nulls(repo.params.show(revs=[revision], hide_workspace=False)) for revision in revisions]
    except (DvcException, SCMError) as error:
        raise TriptychError(f"DVC cannot compare these revisions: {one_line(error)}") from None
    if broken := found[0].get("errors"):
        raise TriptychError(
            f"DVC cannot read params.yaml or dvc.yaml of {' and '.join(broken)}: `dvc params diff` shows the error"
        )
    for revision, files in found[1].get("errors", {}).items():
        if isinstance(files, Exception):
            raise TriptychError(f"DVC cannot read the numbers of {revision}: {one_line(files)}") from files
        for path, error in files.items():
            if not isinstance(error, FileNotFoundError):  # a stage that has not run
                warn(f"{path} of {revision} is left out, since DVC cannot read it: {one_line(error)}")
    settings, numbers = (each.get("diff", {}) for each in found)
    return settings, nulls, numbers


def _nulls(shown: Mapping[str, Any]) -> set[str]:
    """Return the keys of the settings that are null in a revision. In the differences of DVC, such a key is missing."""
    revision = [*shown.values()][-1]  # after the working tree, which is there unless it was asked for
    files = [flatten(file.get("data", {})) for file in revision.get("data", {}).values()]
    return {key for values in files for key, value in values.items() if value is None}


def _rows_of_settings(settings: Changes, nulls: Sequence[Collection[str]]) -> Iterator[tuple[str, ...]]:
    """Yield one row for each setting whose value in force differs, and for each entry that only one side has.

    A value by profile has a row if it differs in any profile. `settings` has the unchanged settings, too, and `nulls`
    the keys that are null on each side.
    """
    for found in settings.values():
        sides = [{key: each[side] for key, each in found.items() if each[side] is not None} for side in ("old", "new")]
        removed = [
            {key for null in each for key in _of_recipe(written, null)}
            for written, each in zip(sides, nulls, strict=True)
        ]
        every = {*found, *removed[0], *removed[1]}
        entries = [{_entry(key) for key in written} for written in sides]
        for entry, keys in groupby(sorted(every, key=lambda key: (_entry(key), key)), _entry):
            present = [entry in names for names in entries]
            if entry not in every and not all(present):
                yield entry, *("all keys" if here else "-" for here in present), ""
                continue
            for key in keys:
                before, after = (
                    DEFAULT if key in off else _in_force(written, key)
                    for written, off in zip(sides, removed, strict=True)
                )
                if before != after:
                    yield key, before, after, ""


def _entry(key: str) -> str:
    """Return the part of a key that names an entry of a section, such as `experiments.vae-20d`; else the whole key."""
    section, name, *rest = [*key.split("."), ""]
    return f"{section}.{name}" if rest[:-1] else key


def _of_recipe(written: Mapping[str, Any], null: str) -> Iterator[str]:
    """Yield the keys of an entry that a null in it removes from its recipe."""
    place = _place_in_recipe(written, null)
    for key in written:
        if place and (key == place or key.startswith(f"{place}.")):
            yield null + key.removeprefix(place)


def _place_in_recipe(written: Mapping[str, Any], key: str) -> str:
    """Return the key of the recipe for a key of an entry; an empty string for other keys."""
    section, _, rest = key.partition(".")
    name, _, path = rest.partition(".")
    recipe = written.get(f"{section}.{name}.recipe") if section in SECTIONS else None
    return f"recipes.{recipe}.{path}" if recipe else ""


def _in_force(written: Mapping[str, Any], key: str) -> str:
    """Return the value of a setting under the profile: that of its entry, or else that of the entry's recipe."""
    for place in filter(None, (key, _place_in_recipe(written, key))):
        common, _, last = place.rpartition(".")
        for spelling in (place, f"{place}.{written.get('profile')}", common if last in PROFILES else place):
            if spelling in written:
                return str(written[spelling])
    return "-"


def _rows_of_numbers(changes: Changes) -> Iterator[tuple[str, ...]]:
    for path, found in sorted(changes.items()):
        for key, change in sorted(found.items()):
            before, after = ("-" if change.get(side) is None else f"{change[side]:.5g}" for side in ("old", "new"))
            difference = f"{change['diff']:+.3g}" if "diff" in change else ""
            yield f"{Path(path).stem}: {key}", before, after, difference
