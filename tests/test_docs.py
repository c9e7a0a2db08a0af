"""What README and docs point at is there: functions, tests, files, pictures and headings."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[(?P<words>[^\[\]]*)\]\((?P<target>[^()\s]+)\)")
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)?)`")


@cache
def defined(source: Path) -> set[str]:
    """Functions, classes and constants of a module, and `Class.name` for what a class defines."""
    return set(_names(ast.parse(source.read_text(encoding="utf-8"))))


def _names(scope: ast.Module | ast.ClassDef) -> Iterator[str]:
    for node in scope.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef) and isinstance(scope, ast.Module):
            yield from (f"{node.name}.{name}" for name in _names(node))
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings; of equal ones the second ends in -1."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ +(.+?)\s*$", FENCED.sub("", text), re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", LINK.sub(r"\g<words>", heading).lower()).replace(" ", "-")
        found.add(f"{words}-{seen[words]}" if seen[words] else words)
        seen[words] += 1
    return found


def dead(page: Path, text: str) -> list[str]:
    """The relative links in a page's text that lead nowhere, or to a module that does not define the name they are."""
    found = []
    for words, target in LINK.findall(FENCED.sub("", text)):
        if "://" in target:
            continue
        place, _, anchor = target.partition("#")
        path, name = (page.parent / place).resolve() if place else page, NAME.fullmatch(words)
        there = path.is_relative_to(ROOT) and path.exists()
        if there and anchor:
            there = anchor in anchors(text if path == page else path.read_text(encoding="utf-8"))
        if there and name and path.suffix == ".py":
            there = name[1] in defined(path)
        if not there:
            found.append(f"{words} at {target}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert dead(page, page.read_text(encoding="utf-8")) == []


def test_the_mathematics_names_functions_and_tests() -> None:
    """Each row has its formula and source, and links to code of ours that computes it, and to tests."""
    rows = re.findall(r"^\| (?!what \||---)(.+) \|$", (ROOT / "docs/mathematics.md").read_text("utf-8"), re.MULTILINE)
    assert rows
    for row in rows:
        what, formula, source, computed, checked = row.split(" | ")
        assert "$" in formula, what
        assert source, what
        assert "](../src/triptych/" in computed or computed.startswith("no function"), what
        assert "](../tests/" in checked, what


@pytest.mark.parametrize(
    "link",
    [
        "[`nobody`](tests/test_docs.py)", "[`LINK.sub`](tests/test_docs.py)", "[x](docs/nowhere.md)", "[x](#nowhere)",
        "![x](plots/nowhere.png)", "[x](docs/speed.md#nowhere)", "[x](../elsewhere.md)",
    ],
)  # fmt: skip
def test_the_check_sees_what_it_is_for(link: str) -> None:
    good = "# A `b`, c\n# A `b`, c\n## A b c\n[x](#a-b-c) [x](#a-b-c-2) [`dead`](tests/test_docs.py)\n"
    good += "[`PAGES`](tests/test_docs.py) [`Composition.inverse`](src/triptych/models/flow/transform.py)\n"
    good += "[`Path.x`](docs/speed.md) [`ROOT`](tests/conftest.py) [x](https://example.org)\n```\n[x](nowhere)\n```\n"
    page = ROOT / "README.md"
    assert dead(page, good) == []
    assert len(dead(page, f"{good}{link}\n")) == 1
