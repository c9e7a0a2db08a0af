"""README and docs refer only to existing functions, tests, files, headings, commands and settings."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
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
from pages import ASSIGNMENT, OTHER_COMMANDS, PAGES, blocks, commands, spans, unfenced
from triptych.cli.main import cli
from triptych.core.errors import TriptychError
from triptych.settings.params import Settings, load

LINK = re.compile(r"\[(?P<words>[^\[\]]*)\]\((?P<target>[^()\s]+)\)")
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)?)`")
UV_CACHE = "UV_CACHE_DIR"


@cache
def defined(source: Path) -> set[str]:
    """Return the functions, classes and constants of a module, and `Class.name` for the attributes of its classes."""
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
    """Return the anchors that GitHub gives to the headings; of equal headings the second ends in -1."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ +(.+?)\s*$", unfenced(text), re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", LINK.sub(r"\g<words>", heading).lower()).replace(" ", "-")
        found.add(f"{words}-{seen[words]}" if seen[words] else words)
        seen[words] += 1
    return found


def broken_links(page: Path, text: str) -> list[str]:
    """Return the relative links to missing files, and to modules that do not define the linked name."""
    found = []
    for words, target in LINK.findall(unfenced(text)):
        if "://" in target:
            continue
        place, _, anchor = target.partition("#")
        path, name = (page.parent / place).resolve() if place else page, NAME.fullmatch(words)
        valid = path.is_relative_to(ROOT) and path.exists()
        if valid and anchor:
            valid = anchor in anchors(text if path == page else path.read_text(encoding="utf-8"))
        if valid and name and path.suffix == ".py":
            valid = name[1] in defined(path)
        if not valid:
            found.append(f"{words} at {target}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_has_a_target(page: Path) -> None:
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_mathematics_links_to_functions_and_tests() -> None:
    """Each row has a formula and a source, and links to the code that computes it and to its tests."""
    rows = re.findall(r"^\| (?!what \||---)(.+) \|$", (ROOT / "docs/mathematics.md").read_text("utf-8"), re.MULTILINE)
    assert rows
    for row in rows:
        what, formula, source, computed, checked = row.split(" | ")
        assert "$" in formula, what
        assert source, what
        assert "](../src/triptych/" in computed or computed.startswith("no function"), what
        assert "](../tests/" in checked, what


def test_each_row_of_the_questions_links_to_all_kept_pictures_of_its_question() -> None:
    text = (ROOT / "docs/questions.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([UMRX][^|]*) \| [^|]* \| (.+) \|$", text, re.MULTILINE))
    linked = {code: set(re.findall(r"/([A-Z][\w.-]*)\.png\)", answer)) for code, answer in rows.items()}
    kept = {path.stem for path in ROOT.glob("plots/baseline/*/[A-Z][0-9]*.png")}
    assert kept == set().union(*linked.values())
    for code, names in linked.items():
        ends = re.split(", | to ", code)
        asked = {_question(name.partition("-")[0]) for name in names}
        assert all(_question(ends[0]) <= question <= _question(ends[-1]) for question in asked), code


def _question(code: str) -> tuple[str, int, str]:
    """Return the document, number and letter of a question, in the order of the documents."""
    document, number, letter = re.fullmatch(r"([A-Z]\d*)\.?(\d*)([a-e]?)", code).groups()
    return document, int(number or 0), letter


@pytest.mark.parametrize(
    "link",
    [
        "[`nobody`](tests/test_docs.py)", "[`LINK.sub`](tests/test_docs.py)", "[x](docs/nowhere.md)", "[x](#nowhere)",
        "![x](plots/nowhere.png)", "[x](docs/speed.md#nowhere)", "[x](../elsewhere.md)",
    ],
)  # fmt: skip
def test_the_check_finds_broken_links(link: str) -> None:
    good = "# A `b`, c\n# A `b`, c\n## A b c\n[x](#a-b-c) [x](#a-b-c-2) [`broken_links`](tests/test_docs.py)\n"
    good += "[`PAGES`](tests/pages.py) [`Composition.inverse`](src/triptych/models/flow/transform.py)\n"
    good += "[`Path.x`](docs/speed.md) [`ROOT`](tests/conftest.py) [x](https://example.org)\n```\n[x](nowhere)\n```\n"
    page = ROOT / "README.md"
    assert broken_links(page, good) == []
    assert len(broken_links(page, f"{good}{link}\n")) == 1


PLACEHOLDER = re.compile(r"[A-Z]+|<\w+>|\.\.\.")  # a word that the reader replaces
PROGRAMS = {"bench": ROOT / "benchmarks" / "__main__.py", "torture": ROOT / "tests" / "torture" / "__main__.py"}
VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
PATH = re.compile(r"[\w.<>*-]+(?:/[\w.<>*-]+)+/?|[\w.<>*-]+/")


@cache
def settings() -> Settings:
    return load(ROOT / "params.yaml")


@cache
def pipeline() -> dict[str, Any]:
    """Return the stages of dvc.yaml as they are written."""
    return YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def items(stage: dict[str, Any]) -> list[str]:
    """Return the items of a stage: the keys of its section of params.yaml."""
    section = stage["foreach"][2:-1] if "foreach" in stage else None
    return list(getattr(settings(), section, ())) if section else []


@cache
def stages() -> set[str]:
    """Return the full names of all stages."""
    return {
        full for name, stage in pipeline().items() for full in ([f"{name}@{item}" for item in items(stage)] or [name])
    }


@cache
def outputs() -> set[str]:
    """Return patterns of the paths that the stages write."""
    found = set()
    for stage in pipeline().values():
        body, names = stage.get("do", stage), "|".join(items(stage))
        for entry in (entry for kind in ("outs", "metrics", "plots") for entry in body.get(kind, ())):
            paths = [entry] if isinstance(entry, str) else list(entry)
            found |= {re.escape(path).replace(r"\$\{key\}", rf"(<\w+>|{names})") for path in paths}
    return found


def refused(words: list[str], folder: Path) -> str:
    """Return the reason why a command would be refused, or an empty string, without running the command.

    `folder` holds changed copies of params.yaml.
    """
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
    return "" if program in OTHER_COMMANDS else "unknown command"


def _parsed(group: click.Group, words: list[str]) -> tuple[str, dict[str, Any]]:
    """Return the reason why click refuses a command, or its parameters."""
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

    output = StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(output):
            given = get_main_parser().parse_args(words)
    except DvcParserError:
        return output.getvalue().strip().splitlines()[-1]
    except SystemExit as end:  # after --help
        return str(end.code or "")
    targets = getattr(given, "targets", None) or ()
    known = stages() | {name for name in targets if "/" in name and not missing(ROOT / "README.md", name)}
    unknown = [name for name in targets if name not in known and not PLACEHOLDER.fullmatch(name)]
    overrides = [word for word in getattr(given, "set_param", None) or () if not PLACEHOLDER.fullmatch(word)]
    if unknown:
        return f"no such stage or output: {unknown}"
    return _refused_settings(overrides, folder, grid=getattr(given, "queue", False)) if overrides else ""


def _refused_settings(overrides: list[str], folder: Path, *, grid: bool = False) -> str:
    """Return the reason why an override is refused. With `grid`, commas separate the points of a grid."""
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
    if target == "mutants":
        return "".join(f"no module {name}" for name in given if not (ROOT / "src" / _module_file(name)).exists())
    if target == "test":
        return "".join(f"no file {name}" for name in given if not (ROOT / name).exists())
    source = PROGRAMS[target].read_text(encoding="utf-8") if given else ""
    return "".join(f"{target} takes no {word}" for word in given if f'"{word}"' not in source)


def _module_file(functions: str) -> str:
    """Return the file of the module in a pattern such as `triptych.training.ema.*`."""
    return functions.removesuffix(".*").replace(".", "/") + ".py"


def missing(page: Path, path: str) -> bool:
    """Return whether a path is not in the repository, not an output, and not a path that the code names."""
    pattern = re.sub(r"<\w+>", "*", path.rstrip("/"))
    if any(any(folder.glob(pattern)) for folder in (ROOT, page.parent, ROOT / "src" / "triptych")):
        return False
    if any(re.match(rf"{place}(/|$)", path) for place in (*outputs(), "data/own")):
        return False
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    if any(f"/{path}".startswith(f"/{line.strip('/')}/") for line in (*ignored, ".dvc")):  # files of a run, not in git
        return False
    dataset, _, split = path.partition("/")
    return not (dataset in settings().datasets and split in ("train", "valid", "test")) and path not in sources()


@cache
def sources() -> str:
    """Return the text of all code, including the Makefile."""
    modules = (*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").glob("*/*.py"), *(ROOT / "benchmarks").rglob("*.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in (*modules, ROOT / "Makefile"))


@cache
def variables_of_mlflow() -> str:
    """Return the text of the module in which MLflow lists its variables, without importing it."""
    spec = importlib.util.find_spec("mlflow")
    assert spec
    assert spec.origin
    return Path(spec.origin).with_name("environment_variables.py").read_text(encoding="utf-8")


def unknown_words(page: Path, text: str) -> list[str]:
    """Return the paths, stages and environment variables of a page that do not exist."""
    code = [*spans(text), *(content for _, content in blocks(text))]
    named = [word for span in code for word in re.findall(r"\b([a-z]+@[\w-]+)", span)]
    found = [name for name in named if name.partition("@")[0] in pipeline() and name not in stages()]
    variables = {name for span in code for name in VARIABLE.findall(span)}
    read = sources() + variables_of_mlflow() + UV_CACHE
    found += [name for name in variables if not re.search(rf"\b{name}\b", read)]
    return found + [span for span in spans(text) if PATH.fullmatch(span) and missing(page, span)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_accepted(page: Path, tmp_path: Path) -> None:
    found = {" ".join(words): refused(words, tmp_path) for words in commands(page.read_text(encoding="utf-8"))}
    assert {command: reason for command, reason in found.items() if reason} == {}


def test_uv_reads_the_variable_of_the_page(tmp_path: Path) -> None:
    asked = subprocess.run(
        [Path(sys.executable).with_name("uv"), "cache", "dir"],
        env=os.environ | {UV_CACHE: str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.strip() == str(tmp_path)


def test_the_error_in_the_readme_is_the_real_one(tmp_path: Path) -> None:
    shown = next(
        content for _, content in blocks(PAGES[0].read_text(encoding="utf-8")) if "$ triptych check" in content
    )
    refusal = _refused_settings(["recipes.vae-20d.epochs.quick=-1"], tmp_path)
    assert shown.splitlines()[1] == f"triptych: {refusal}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_stages_and_variables_exist(page: Path) -> None:
    assert unknown_words(page, page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "triptych trian", "triptych sample nobody", "triptych sample vae-20d --coutn 3", "triptych repro --jobs 0",
        "triptych repro train@nobody", "dvc exp rnn", "dvc repro --frce", "dvc repro train@nobody",
        "dvc exp run -S recipes.vae-20d.learnin_rate=1", "dvc exp run -S recipes.vae-20d.learning_rate=-1",
        "dvc exp run -S profile=fast", "dvc exp run -S recipes.vae-20d.learning_rate=1,2",
        "dvc exp run --queue -S recipes.vae-20d.learning_rate=1.0e-3,-1",
        "make rerpo", 'make bench ARGS="--ronds 3"', 'make mutants ARGS="triptych.training.emma.*"',
        "pip install triptych", "export x", "dvc repro trai", "dvc plots diff --targets plots/nobody/x",
    ],
)  # fmt: skip
def test_the_check_finds_refused_commands(line: str, tmp_path: Path) -> None:
    [found] = [refused(words, tmp_path) for words in commands(f"1. A\n\n   ```sh\n{line}\n   ```\n")]
    assert found


def test_the_check_accepts_correct_commands(tmp_path: Path) -> None:
    good = "triptych sample vae-20d --count 3 && dvc exp run -n NAME -S recipes.vae-20d.learning_rate=2e-3 \\\n"
    good += '  evaluate@vae-20d  # so\nTRIPTYCH_DATA=~/x make repro\nmake bench ARGS="libraries --rounds 3"\n'
    good += "dvc exp run --queue -S recipes.vae-20d.learning_rate=1.0e-3,3.0e-4\n"
    good += "export TRIPTYCH_DATA=x\ndvc plots diff --targets plots/vae-20d\n"
    found = [refused(words, tmp_path) for words in commands(f"1. A\n\n   ```sh\n{good}   ```\n")]
    assert found == [""] * 7


@pytest.mark.parametrize(
    "word",
    ["src/triptych/nowhere.py", "plot/<experiment>/", "models/vea-20d/", "train@nobody", "TRIPTYCH_DAT", "mnist/tests"],
)
def test_the_check_finds_unknown_names(word: str) -> None:
    good = "`src/triptych/cli/main.py` `plots/<experiment>/` `models/vae-20d/` `metrics/summary.csv` `MNIST/raw`\n"
    good += "`train@vae-20d` `train@<experiment>` `TRIPTYCH_DATA` `objectives/<family>.py` `.triptych/` `evaluation/`\n"
    assert unknown_words(ROOT / "README.md", good) == []
    assert unknown_words(ROOT / "README.md", f"{good}`{word}`") == [word]
