"""README and docs keep the rules of style that a program can check, and the project's files agree."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from conftest import ROOT
from pages import PAGES, unfenced
from triptych.settings.settings_page import settings_page

LONGEST_LINE = 100  # characters
LONGEST_SENTENCE = 25  # words
README_LINES = 150
UNWRAPPED = re.compile(r"\||!\[|#|\[.*\]\(\S+\)\S*$|https?://")  # tables, pictures, headings, links, addresses
GENERATED = re.compile(r"<!--(?: table:| made by).*?<!-- end -->", re.DOTALL)
END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bet al)[.!?:;](?=\s|$)")
WORD = re.compile(r"[^\s]*[^\W\d_][^\s]*")
GLOSSARY = (
    "FID", "KID", "IS", "precision and recall", "ELBO", "bits per dimension", "dequantisation", "binarisation",
    "importance sampling", "active units", "spectral normalisation", "R1", "experiment", "recipe", "study", "run",
    "seed", "baseline", "reference", "extractor", "profile", "fingerprint", "headline number",
)  # fmt: skip


def paragraphs(text: str) -> Iterator[str]:
    """Yield each paragraph, list item and table cell in one line, without blocks of code and generated tables."""
    for block in re.split(r"\n\s*\n|\n(?= *(?:[-*]|\d+\.) )|\n(?=\|)", unfenced(GENERATED.sub("", text))):
        cells = block.strip().strip("|").split(" | ") if block.lstrip().startswith("|") else [block]
        yield from (" ".join(re.sub(r"^\s*(?:[-*]|\d+\.|#+) ", "", cell).split()) for cell in cells)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a page. A code span, a formula or a link is one word; a colon ends a sentence."""
    for paragraph in paragraphs(text):
        plain = re.sub(r"!?\[([^\[\]]*)\]\([^()\s]+\)", r"\1", paragraph)
        plain = re.sub(r"`[^`]*`|\$[^$]+\$", "x", plain)
        yield from (sentence.strip() for sentence in END.split(plain))


def too_long(text: str) -> list[str]:
    """Return the sentences with too many words and the lines with too many characters."""
    lines = [line for line in unfenced(GENERATED.sub("", text)).splitlines() if not UNWRAPPED.match(line.strip())]
    found = [line for line in lines if len(line) > LONGEST_LINE]
    return found + [sentence for sentence in sentences(text) if len(WORD.findall(sentence)) > LONGEST_SENTENCE]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_sentences_and_lines_are_short(page: Path) -> None:
    assert too_long(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("line", ["w " * 26, f"- a: `x y` {'w ' * 25}", f"| a | {'w ' * 26} |", "1" * 101])
def test_the_check_finds_long_sentences_and_lines(line: str) -> None:
    good = f"{'w ' * 24}w.\n{'w ' * 24}w:\n- {'w ' * 13}\n{'w ' * 12}\n- `{'w ' * 26}` 1 2 3\n"
    assert too_long(good) == []
    assert len(too_long(f"{good}\n{line}\n")) == 1


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_the_first_sentence_says_what_the_page_answers(page: Path) -> None:
    title, first, *_ = filter(None, page.read_text(encoding="utf-8").split("\n\n"))
    assert title.startswith("# ")
    assert first.startswith("This page ")


def test_the_readme_is_short_and_the_index_leads_to_every_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < README_LINES
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {page for page in pages if f"]({page})" not in index} == set()
    words = set(re.findall(r"^\| \*\*(.+?)\*\*", index, re.MULTILINE))
    assert [word for word in GLOSSARY if word not in words] == []


def test_every_section_of_the_settings_has_an_example_and_every_key_a_meaning() -> None:
    sections = settings_page().split("\n## ")[1:]
    assert len(sections) > 15
    for section in sections:
        name = section.partition("\n")[0]
        assert "```yaml\n" in section, name
        for row in re.findall(r"^\| (?!key |---)(.+) \|$", section, re.MULTILINE):
            key, value, default, meaning = row.split(" | ")
            assert key.startswith("`"), row
            assert value.strip(), row
            assert default.strip(), row
            assert meaning.strip(), f"{name}: {key} has no meaning"


def test_the_files_of_the_project_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert project["license"] == citation["license"] == "Apache-2.0"
    assert licence.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert "END OF TERMS AND CONDITIONS" in licence
    assert "Apache-2.0" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert project["version"] == str(citation["version"])
    assert re.findall(r"^## \[(\d[^\]]*)\]", changes, re.MULTILINE)[0] == project["version"]
    authors = [author["name"] for author in project["authors"]]
    assert authors == [author["name"] for author in citation["authors"]]
    assert all(author in licence for author in authors)
    assert all((ROOT / name).exists() for name in project["license-files"])
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert all(words in notice for words in ("Yann LeCun", "Corinna Cortes", "CC BY-SA 3.0", "mnist-v1", "cifar10-v1"))
    named = re.findall(r"src/triptych/\S*[\w]", notice)
    assert named
    assert all((ROOT / path).exists() for path in named)
    assert (ROOT / "data" / "README.md").exists()  # the folder of the data is there before the first run


def test_the_continuous_integration_runs_the_projects_own_script() -> None:
    [job] = (
        YAML(typ="safe").load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"].values()
    )
    assert job["strategy"]["matrix"] == {"os": ["ubuntu-latest", "macos-latest"], "python": ["3.11", "3.13"]}
    assert job["steps"][-1]["run"] == ".ci/run"
    assert job["env"]["PYTHON"] == "python${{ matrix.python }}"
    assert "PYTHON ?=" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
