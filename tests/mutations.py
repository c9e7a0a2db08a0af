"""Random mutations of settings, JSON and files, as typing errors, broken disks or attacks cause them.

Each function takes a source of random numbers with the methods of `random.Random`. Hypothesis can then shrink a failing
example, and one seed repeats a long run.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

Tree = dict[str, Any]
Place = tuple[str | int, ...]

NUMBERS = (-1, 0, 1, 2, 3, 7, 10**10, 10**30, -0.5, 0.0, 0.3, 0.999999, 1e-300, 1e9, 1e300)
OTHERS = (
    None, True, False, float("nan"), float("inf"), -float("inf"), "", "x", "quick", "mnist", "../x", "a\nb", "\u202ex",
    "x" * 5000, "1", b"x", date(2020, 1, 2), (1, 2),
)  # fmt: skip
SUBTREES: tuple[Callable[[], object], ...] = (
    list, dict, lambda: [1, 2], lambda: [1] * 400, lambda: {"quick": 1, "full": 2}, lambda: {1: 2}, lambda: [[[[]]]],
    lambda: {"x": {}},
)  # fmt: skip
NAMES = ("x", "", "quick", "mnist", "../x", "a b", "a\nb", "a" * 300, "con", "é", 1, None, True, "reference", "recipe")


def places(tree: object, prefix: Place = ()) -> Iterator[Place]:
    """Yield the path of every entry in a tree of mappings and lists."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        yield (*prefix, key)
        yield from places(value, (*prefix, key))


def at(tree: Any, place: Place) -> Any:
    """Return the entry at a path."""
    for key in place:
        tree = tree[key]
    return tree


def value(chance: Random) -> object:
    """Return a scalar or a small tree of any type."""
    kind = chance.random()
    if kind < 0.5:
        return chance.choice(NUMBERS)
    return chance.choice(OTHERS) if kind < 0.8 else chance.choice(SUBTREES)()


def _set(tree: Tree, place: Place, chance: Random) -> None:
    at(tree, place[:-1])[place[-1]] = value(chance)


def _scale(tree: Tree, place: Place, chance: Random) -> None:
    """Make a number smaller, larger or negative, or change its type."""
    number = at(tree, place)
    if isinstance(number, int | float):
        changed = chance.choice((number + 1, number - 1, number * 2, -number, number / 2, float(number), int(number)))
        at(tree, place[:-1])[place[-1]] = changed


def _delete(tree: Tree, place: Place, chance: Random) -> None:
    del at(tree, place[:-1])[place[-1]]


def _add(tree: Tree, place: Place, chance: Random) -> None:
    found = at(tree, place)
    if isinstance(found, dict):
        found[chance.choice(NAMES)] = value(chance)
    elif isinstance(found, list):
        found.insert(chance.randrange(len(found) + 1), value(chance))


def _rename(tree: Tree, place: Place, chance: Random) -> None:
    holder = at(tree, place[:-1])
    if isinstance(holder, dict):
        entries = list(holder.items())
        holder.clear()
        holder.update((chance.choice(NAMES) if key == place[-1] else key, entry) for key, entry in entries)


def _swap(tree: Tree, place: Place, chance: Random) -> None:
    """Exchange two subtrees, neither of which contains the other."""
    other = chance.choice([*places(tree)])
    if place[: len(other)] != other and other[: len(place)] != place:
        here, there = copy.deepcopy(at(tree, place)), copy.deepcopy(at(tree, other))
        at(tree, place[:-1])[place[-1]], at(tree, other[:-1])[other[-1]] = there, here


def _copy(tree: Tree, place: Place, chance: Random) -> None:
    """Replace a subtree by another one of the same name, like a block pasted in the wrong place."""
    others = [other for other in places(tree) if other[-1] == place[-1] and other != place]
    if others:
        at(tree, place[:-1])[place[-1]] = copy.deepcopy(at(tree, chance.choice(others)))


TRIES = 20  # attempts to find a change that has an effect
CHANGES = (_set, _set, _scale, _scale, _delete, _add, _rename, _swap, _copy, _copy)


def mutate_tree(tree: Tree, chance: Random, within: Place = ()) -> tuple[Tree, Place, str]:
    """Return the tree with one change at or below a place, the place of the change, and its name."""
    for _ in range(TRIES):
        mutated = copy.deepcopy(tree)
        place = chance.choice([place for place in places(mutated) if place[: len(within)] == within])
        change = chance.choice(CHANGES)
        change(mutated, place, chance)
        if mutated != tree:
            break
    return mutated, place, change.__name__.strip("_")


BOMB = ", ".join(f"&b{n} [{','.join([f'*b{n - 1}'] * 9)}]" for n in range(1, 12))
FRAGMENTS = (
    "&a ", "*a", "<<: *a\n", "<<: {x: 1}\n", "!!python/object/apply:os.mkdir [sprung]\n", "!!python/name:os.system ",
    "!!binary aGk=", "!!timestamp 2020-13-45", "2020-02-31", "!!set {a, b}", "!!int x", "!x y", "%YAML 1.1\n---\n",
    "---\n", "...\n", "\t", "\0", "\ufeff", "\x85", "\u2028", "? [a, b]\n: c\n", "? {a: b}\n: c\n", "x: &r [*r]\n",
    "x: &r {x: *r}\n", "profile: quick\nprofile: full\n", "? ", ": ", "- ", "[", "{", "}", "]", "'", '"', "|\n", ">\n",
    "#", "~", ".nan", ".inf", "0o17", "0x10", "1_000", "1e400", "9" * 5000, "[" * 3000, "{a: " * 500, "\n" * 3,
    "'\\x'", "é", "\\", "@", "`", "seed: true\n", f"b: [&b0 [x,x,x,x,x,x,x,x,x], {BOMB}]\n",
)  # fmt: skip


def mutate_text(text: str, chance: Random) -> bytes:
    """Return YAML with text inserted or removed, at the start of a line or anywhere, or bytes that are not text."""
    kind = chance.random()
    if kind < 0.1:
        return mutate_bytes(text.encode(), chance)
    lines = text.splitlines(keepends=True)
    if kind < 0.4:
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(FRAGMENTS) + "\n")
        return "".join(lines).encode()
    if kind < 0.5:
        first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[first], lines[second] = lines[second], lines[first]
        return "".join(lines).encode()
    start = chance.randrange(len(text))
    return (text[:start] + chance.choice(FRAGMENTS) + text[start + chance.choice((0, 0, 1, 20)) :]).encode()


def mutate_bytes(content: bytes, chance: Random) -> bytes:
    """Return the bytes cut, changed, inserted into, doubled or emptied."""
    changed, kind = bytearray(content), chance.randrange(7)
    where = chance.randrange(len(content)) if content else 0
    if chance.random() < 0.5:
        where = min(where, 200)  # headers are here
    if kind == 0:
        del changed[where:]
    elif kind == 1:
        for _ in range(chance.choice((1, 1, 3, 20))):
            changed[min(len(content) - 1, where + chance.randrange(20))] = chance.randrange(256)
    elif kind == 2:
        changed[where:where] = chance.choice((b"\0", b"\xff" * 8, b"\0" * 100, b"\n", b"9" * 30))
    elif kind == 3:
        del changed[where : where + chance.choice((1, 4, 100))]
    elif kind == 4:
        changed += content if chance.random() < 0.5 else b"\0"
    elif kind == 5:
        changed.clear()
        changed += chance.choice(
            (b"", b"\0", b"PK\3\4", b"PK\5\6" + b"\0" * 18, b"\x1f\x8b\x08", b"\x93NUMPY\1\0", b"{}", b"\xff" * 99)
        )
    else:  # a number in the middle of a binary header
        changed[where : where + 8] = struct.pack("<q", chance.choice((-1, 0, 1, 2**31, 2**62, 10**12)))
    return bytes(changed)


def npy(shape: object, descr: object, content: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """Return a `.npy` file with this header, which may contradict the content."""
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    length = struct.pack("<H" if version == (1, 0) else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + length + header + content


SHAPES = (
    (),
    (0,),
    (3,),
    (-1, 28, 28),
    (2, 28, 28),
    (10**12, 28, 28),
    (10**9,),
    (10**400,),
    "x",
    (True, 28),
    (2.0,),
    (1,) * 70,
)
TYPES = (
    "|u1",
    "<f8",
    "|O",
    "<U3",
    "<U999999999",
    [("a", "|O")],
    [("a", "<i4")],
    "|V999",
    "x",
    ("|u1", (3,)),
    "<M8[s]",
    "|b1",
)


WRONG: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda array: array.astype(object),
    lambda array: array[..., None],
    lambda array: array.T,
    lambda array: array.ravel()[:0],
    lambda array: array.ravel()[:3].astype(str).astype("U9"),
    lambda array: np.zeros(array.shape, np.float32),
    lambda array: np.full(array.shape, 300, np.uint16),
)


def mutate_npz(arrays: dict[str, np.ndarray], chance: Random) -> bytes:
    """Return an archive of these arrays with a false header or member name in one of them, or with changed bytes."""
    packed = io.BytesIO()
    method = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    chosen, kind = chance.choice([*arrays]), chance.randrange(6)
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            written, member = content.getvalue(), f"{name}.npy"
            if name == chosen and kind == 0:
                written = npy(
                    chance.choice(SHAPES),
                    chance.choice(TYPES),
                    array.tobytes(),
                    chance.choice(((1, 0), (2, 0), (3, 0), (9, 9))),
                )
            elif name == chosen and kind == 1:
                written = mutate_bytes(written, chance)
            elif name == chosen and kind == 2:
                content = io.BytesIO()
                np.save(content, chance.choice(WRONG)(array), allow_pickle=True)
                written = content.getvalue()
            elif name == chosen and kind == 3:
                member = chance.choice((f"../{name}.npy", f"/{name}.npy", name, f"{name}.npy/", f"{name}.NPY"))
            archive.writestr(member, written)
    return mutate_bytes(packed.getvalue(), chance) if kind > 3 else packed.getvalue()


def mutate_packed(content: bytes, chance: Random) -> bytes:
    """Return changed content as gzip, or gzip with changed bytes."""
    if chance.random() < 0.5:
        return gzip.compress(mutate_bytes(content, chance))
    return mutate_bytes(gzip.compress(content), chance)


def mutate_json(path: Path, chance: Random) -> None:
    """Change a key or some bytes of a JSON file."""
    if chance.random() < 0.8:
        tree, *_ = mutate_tree(json.loads(path.read_text()), chance)
        path.write_text(json.dumps(tree, default=str, skipkeys=True))
    else:
        path.write_bytes(mutate_bytes(path.read_bytes(), chance))


def mutate_place(path: Path, chance: Random) -> str:
    """Replace a file by a path that is not a regular file; return its kind."""
    kind = chance.choice(("missing", "folder", "link to nothing", "link to itself", "pipe", "endless", "empty", "huge"))
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "link to nothing":
        path.symlink_to(path.with_name("nowhere"))
    elif kind == "link to itself":
        path.symlink_to(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind in ("empty", "huge"):
        with path.open("wb") as file:
            file.truncate(0 if kind == "empty" else 1 << 40)
    return kind
