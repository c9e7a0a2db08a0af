"""Read README and docs: their blocks of code, commands and tables."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
COMMANDS = ("triptych", "dvc", "make", "mlflow")
OTHER_COMMANDS = ("git", "source", "cd")  # the tests do not check them
ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")


def unfenced(text: str) -> str:
    """Return the text without its blocks of code."""
    return FENCED.sub("", text)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield language and content of each block of code."""
    for _, language, content in FENCED.findall(text):
        yield language, textwrap.dedent(content)


def spans(text: str) -> list[str]:
    """Return the text between each pair of backticks, in one line."""
    return [" ".join(span.split()) for span in INLINE.findall(unfenced(text))]


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command: from `sh` blocks, from lines that start with `$`, and from spans of code."""
    for language, content in blocks(text):
        lines = content.replace("\\\n", " ").splitlines()
        shown = lines if language == "sh" else [line[2:] for line in lines if line.startswith("$ ")]
        yield from (command for line in shown for command in _split(line))
    for span in spans(text):
        if span.split()[0] in COMMANDS and not span.endswith(".md"):
            yield from _split(span)
        elif span.startswith("-S "):
            yield from _split(f"dvc exp run {span}")


def _split(line: str) -> Iterator[list[str]]:
    words = shlex.split(line, comments=True)
    while words:
        end = words.index("&&") if "&&" in words else len(words)
        yield words[:end]
        words = words[end + 1 :]


@dataclass(frozen=True)
class Table:
    head: list[str]
    rows: list[list[str]]


def tables(text: str) -> Iterator[Table]:
    """Yield the tables of a page."""
    for found in re.findall(r"(?:^\|.*\|$\n?)+", unfenced(text), re.MULTILINE):
        head, _, *rows = ([cell.strip() for cell in line[1:-1].split("|")] for line in found.splitlines())
        yield Table(head, rows)
