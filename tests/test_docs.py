"""What README and docs point at is there: functions, tests, files, pictures and headings, commands and settings."""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from conftest import ROOT
from pages import ASSIGNMENT, ELSEWHERE, PAGES, blocks, commands, spans, unfenced
from triptych.cli.main import cli
from triptych.core.errors import TriptychError
from triptych.settings.params import Settings, load

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
    for heading in re.findall(r"^#+ +(.+?)\s*$", unfenced(text), re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", LINK.sub(r"\g<words>", heading).lower()).replace(" ", "-")
        found.add(f"{words}-{seen[words]}" if seen[words] else words)
        seen[words] += 1
    return found


def dead(page: Path, text: str) -> list[str]:
    """The relative links in a page's text that lead nowhere, or to a module that does not define the name they are."""
    found = []
    for words, target in LINK.findall(unfenced(text)):
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
    good += "[`PAGES`](tests/pages.py) [`Composition.inverse`](src/triptych/models/flow/transform.py)\n"
    good += "[`Path.x`](docs/speed.md) [`ROOT`](tests/conftest.py) [x](https://example.org)\n```\n[x](nowhere)\n```\n"
    page = ROOT / "README.md"
    assert dead(page, good) == []
    assert len(dead(page, f"{good}{link}\n")) == 1


PLACEHOLDER = re.compile(r"[A-Z]+|<\w+>|\.\.\.")  # stands for a word of the reader's own
PROGRAMS = {"bench": ROOT / "benchmarks" / "__main__.py", "torture": ROOT / "tests" / "torture" / "__main__.py"}
VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
PATH = re.compile(r"[\w.<>*-]+(?:/[\w.<>*-]+)+/?|[\w.<>*-]+/")


@cache
def settings() -> Settings:
    return load(ROOT / "params.yaml")


@cache
def pipeline() -> dict[str, Any]:
    """The stages of dvc.yaml, as it is written."""
    return YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def items(stage: dict[str, Any]) -> list[str]:
    """What a stage is there for, each: the entries of a section of params.yaml."""
    section = stage["foreach"][2:-1] if "foreach" in stage else None
    return list(getattr(settings(), section, ())) if section else []  # of repeats none: they are not in params.yaml


@cache
def stages() -> set[str]:
    """Every stage by its full name."""
    return {
        full for name, stage in pipeline().items() for full in ([f"{name}@{item}" for item in items(stage)] or [name])
    }


@cache
def outputs() -> set[str]:
    """What the stages write, by patterns of paths."""
    found = set()
    for stage in pipeline().values():
        body, names = stage.get("do", stage), "|".join(items(stage))
        for entry in (entry for kind in ("outs", "metrics", "plots") for entry in body.get(kind, ())):
            paths = [entry] if isinstance(entry, str) else list(entry)
            found |= {re.escape(path).replace(r"\$\{key\}", rf"(<\w+>|{names})") for path in paths}
    return found


def refused(words: list[str], folder: Path) -> str:
    """Why a command of README or docs would be refused, if it would; nothing is run, `folder` is for copies."""
    if words[0] == "export":
        return "" if all(map(ASSIGNMENT.fullmatch, words[1:])) else "exports no variable"
    while ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    program, *words = words
    words = [word for word in words if word != "..."]
    if program == "triptych":
        return _refused_by_triptych(words, folder)
    if program == "dvc":
        return _refused_by_dvc(words, folder)
    if program == "make":
        return _refused_by_make(words)
    if program == "mlflow":
        return _refused_by_mlflow(words)
    return "" if program in ELSEWHERE else "no command that is known here"


def _parsed(group: click.Group, words: list[str]) -> tuple[str, dict[str, Any]]:
    """Why click refuses a command, and if it does not, what is given."""
    if not words:
        return "", {}
    command = group.commands.get(words[0])
    if command is None:
        return "no such command", {}
    try:
        return "", command.make_context(words[0], words[1:]).params
    except click.ClickException as error:
        return error.format_message(), {}


def _refused_by_triptych(words: list[str], folder: Path) -> str:
    why, given = _parsed(cli, words)
    if words[:1] == ["repro"] and not why:
        return _refused_by_dvc(["repro", *given["arguments"]], folder)
    named = [given["experiment"]] if "experiment" in given else given.get("experiments", ())
    unknown = [name for name in named if name not in settings().measured and not PLACEHOLDER.fullmatch(name)]
    return f"no such experiment: {unknown}" if unknown else why


def _refused_by_mlflow(words: list[str]) -> str:
    from mlflow.cli import cli as mlflow

    return _parsed(mlflow, words)[0]


def _refused_by_dvc(words: list[str], folder: Path) -> str:
    from dvc.cli import DvcParserError
    from dvc.cli.parser import get_main_parser

    said = StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            given = get_main_parser().parse_args(words)
    except DvcParserError:
        return said.getvalue().strip().splitlines()[-1]
    except SystemExit as asked:  # for help
        return str(asked.code or "")
    targets = getattr(given, "targets", None) or ()
    known = stages() | {name for name in targets if "/" in name and not missing(ROOT / "README.md", name)}
    unknown = [name for name in targets if name not in known and not PLACEHOLDER.fullmatch(name)]
    overrides = [word for word in getattr(given, "set_param", None) or () if not PLACEHOLDER.fullmatch(word)]
    if unknown:
        return f"no such stage or output: {unknown}"
    return _refused_settings(overrides, folder, grid=getattr(given, "queue", False)) if overrides else ""


def _refused_settings(overrides: list[str], folder: Path, *, grid: bool = False) -> str:
    """With a queue, commas make a grid: each of its points counts."""
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    changed = folder / "params.yaml"
    points = get_hydra_sweeps({changed.name: overrides}) if grid else [{changed.name: overrides}]
    try:
        for point in points:
            shutil.copyfile(ROOT / "params.yaml", changed)
            apply_overrides(changed, point[changed.name])
            load(changed)
    except (InvalidArgumentError, TriptychError) as error:
        return str(error.__cause__ or error)
    return ""


def _refused_by_make(words: list[str]) -> str:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    target, *variables = [*words, ""]
    if target not in targets:
        return "no such target"
    given = [word for variable in variables for word in variable.removeprefix("ARGS=").split() if not word.isdigit()]
    source = PROGRAMS[target].read_text(encoding="utf-8") if given else ""
    return "".join(f"{target} takes no {word}" for word in given if f'"{word}"' not in source)


def missing(page: Path, path: str) -> bool:
    """Whether a path is neither in the repository, nor a known output, nor named by the code for the user's files."""
    pattern = re.sub(r"<\w+>", "*", path.rstrip("/"))
    if any(any(folder.glob(pattern)) for folder in (ROOT, page.parent, ROOT / "src" / "triptych")):
        return False
    if any(re.match(rf"{output}(/|$)", path) for output in outputs()):
        return False
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    if any(f"/{path}".startswith(f"/{line.strip('/')}/") for line in (*ignored, ".dvc")):  # made as it runs, not kept
        return False
    dataset, _, split = path.partition("/")
    return not (dataset in settings().datasets and split in ("train", "valid", "test")) and path not in sources()


@cache
def sources() -> str:
    """All code of ours that is run, by make, too."""
    modules = (*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").glob("*/*.py"), *(ROOT / "benchmarks").rglob("*.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in (*modules, ROOT / "Makefile"))


@cache
def variables_of_mlflow() -> str:
    """The module in which MLflow lists its variables; finding it imports nothing."""
    spec = importlib.util.find_spec("mlflow")
    assert spec
    assert spec.origin
    return Path(spec.origin).with_name("environment_variables.py").read_text(encoding="utf-8")


def unknown_words(page: Path, text: str) -> list[str]:
    """Paths, stages and variables of the environment that a page names and nothing knows."""
    code = [*spans(text), *(content for _, content in blocks(text))]
    named = [word for span in code for word in re.findall(r"\b([a-z]+@[\w-]+)", span)]
    found = [name for name in named if name.partition("@")[0] in pipeline() and name not in stages()]
    variables = {name for span in code for name in VARIABLE.findall(span)}
    read = sources() + variables_of_mlflow()
    found += [name for name in variables if not re.search(rf"\b{name}\b", read)]
    return found + [span for span in spans(text) if PATH.fullmatch(span) and missing(page, span)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_would_be_taken(page: Path, tmp_path: Path) -> None:
    found = {" ".join(words): refused(words, tmp_path) for words in commands(page.read_text(encoding="utf-8"))}
    assert {command: why for command, why in found.items() if why} == {}


def test_the_refusal_that_is_shown_is_the_one_that_is_given(tmp_path: Path) -> None:
    shown = next(
        content for _, content in blocks(PAGES[0].read_text(encoding="utf-8")) if "$ triptych check" in content
    )
    refusal = _refused_settings(["experiments.vae-20d.epochs.quick=-1"], tmp_path)
    assert shown.splitlines()[1] == f"triptych: {refusal}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_stages_and_variables_are_known(page: Path) -> None:
    assert unknown_words(page, page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "triptych trian", "triptych sample nobody", "triptych sample vae-20d --coutn 3", "triptych repro --jobs 0",
        "triptych repro train@nobody", "dvc exp rnn", "dvc repro --frce", "dvc repro train@nobody",
        "dvc exp run -S experiments.vae-20d.learnin_rate=1", "dvc exp run -S experiments.vae-20d.learning_rate=-1",
        "dvc exp run -S profile=fast", "dvc exp run -S experiments.vae-20d.learning_rate=1,2",
        "dvc exp run --queue -S experiments.vae-20d.learning_rate=1.0e-3,-1",
        "make rerpo", 'make bench ARGS="--ronds 3"', "pip install triptych",
        "export x", "dvc repro trai", "dvc plots diff --targets plots/nobody/x",
    ],
)  # fmt: skip
def test_a_command_that_would_be_refused_is_seen(line: str, tmp_path: Path) -> None:
    good = "triptych sample vae-20d --count 3 && dvc exp run -n NAME -S experiments.vae-20d.learning_rate=2e-3 \\\n"
    good += '  evaluate@vae-20d  # so\nTRIPTYCH_DATA=~/x make repro\nmake bench ARGS="peers --rounds 3"\n'
    good += "dvc exp run --queue -S experiments.vae-20d.learning_rate=1.0e-3,3.0e-4\n"
    good += "export TRIPTYCH_DATA=x\ndvc plots diff --targets plots/vae-20d\n"
    block = f"1. A\n\n   ```sh\n{good}{line}\n   ```\n"
    found = [refused(words, tmp_path) for words in commands(block)]
    assert found[:-1] == [""] * 7
    assert found[-1]


@pytest.mark.parametrize(
    "word",
    ["src/triptych/nowhere.py", "plot/<experiment>/", "models/vea-20d/", "train@nobody", "TRIPTYCH_DAT", "mnist/tests"],
)
def test_a_name_of_nothing_is_seen(word: str) -> None:
    good = "`src/triptych/cli/main.py` `plots/<experiment>/` `models/vae-20d/` `metrics/summary.csv` `MNIST/raw`\n"
    good += "`train@vae-20d` `train@<experiment>` `TRIPTYCH_DATA` `objectives/<family>.py` `.triptych/` `evaluation/`\n"
    assert unknown_words(ROOT / "README.md", good) == []
    assert unknown_words(ROOT / "README.md", f"{good}`{word}`") == [word]
