"""Find the files of this package that a module imports: for checkpoint keys, and to check `dvc.yaml`'s dependencies."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def code_hash(modules: Iterable[str]) -> str:
    """Return one SHA-256 of the files in the closure of these modules."""
    digest = hashlib.sha256()
    for path in closure(modules):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def closure(modules: Iterable[str]) -> list[Path]:
    """Return the files of these modules of this package and of all modules that they import, directly or not; sorted.

    `__init__.py` files are left out: they contain no code.
    """
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        path = _file_of(waiting.pop())
        if path and path not in found:
            found.add(path)
            waiting += _imports_of(path)
    return sorted(path for path in found if path.name != "__init__.py")


def _file_of(module: str) -> Path | None:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return next(filter(Path.is_file, (path.with_suffix(".py"), path / "__init__.py")), None)


@cache
def _imports_of(path: Path) -> frozenset[str]:
    return frozenset(_imports_in(ast.parse(path.read_text(encoding="utf-8"))))


def _imports_in(tree: ast.AST) -> set[str]:
    """Return the modules of this package that the tree imports, except those that only type checkers import."""
    names: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        names |= _imports_in(node)
    return {name for name in names if name.split(".")[0] == PACKAGE.name}
