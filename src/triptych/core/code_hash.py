"""Which of our own files a module is made of: for checkpoint keys, and to check the code that `dvc.yaml` declares."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def _file_of(module: str) -> Path | None:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imports(tree: ast.AST) -> set[str]:
    """Modules imported anywhere in the tree, but not those imported for type checkers alone."""
    names: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        names |= _imports(node)
    return {name for name in names if name.split(".")[0] == PACKAGE.name}


@cache
def _imports_of(path: Path) -> frozenset[str]:
    return frozenset(_imports(ast.parse(path.read_text(encoding="utf-8"))))


def closure(modules: Iterable[str]) -> list[Path]:
    """The files that these modules of ours import, themselves included, directly or not; sorted.

    Package files are left out: they hold names, and nothing that runs.
    """
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        path = _file_of(waiting.pop())
        if path and path not in found:
            found.add(path)
            waiting += _imports_of(path)
    return sorted(path for path in found if path.name != "__init__.py")


def code_hash(modules: Iterable[str]) -> str:
    """One SHA-256 over the closure's files."""
    digest = hashlib.sha256()
    for path in closure(modules):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
