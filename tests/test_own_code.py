"""A command runs the code in `src/` of the project that it works on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import environment
from test_pipeline import Clone, make_clone
from triptych.cli.own_code import run_code_of_project


def test_a_command_runs_the_code_of_its_project(tmp_path: Path) -> None:
    """The installed package is another checkout."""
    clone = make_clone(tmp_path / "checkout", environment())
    main = clone.root / "src" / "triptych" / "cli" / "main.py"
    main.write_text(main.read_text().replace("Train, evaluate and compare VAEs", "The code of the checkout"))
    for folder in (clone.root, clone.root / "data"):
        assert "The code of the checkout" in Clone(folder, clone.environment).succeed("triptych", "--help")
    elsewhere = Clone(tmp_path, clone.environment).succeed("triptych", "--help")
    assert "Train, evaluate and compare VAEs" in elsewhere


def test_a_queued_run_has_the_code_of_its_checkout(tmp_path: Path) -> None:
    clone = make_clone(tmp_path / "project", environment())
    stage = clone.root / "src" / "triptych" / "stages" / "fetch.py"
    stage.write_text(stage.read_text().replace('tracker.say(f"', 'tracker.say(f"by the code of the run, '))
    said = clone.succeed("dvc", "exp", "run", "--temp", "fetch@mnist")
    assert "by the code of the run, 12,000 digits of MNIST" in said


def test_code_that_python_cannot_import_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, words in (("a:b", "has a :, so Python cannot import"), ("c", "although PYTHONPATH begins with")):
        code = tmp_path / name / "src"
        (code / "triptych").mkdir(parents=True)
        (code / "triptych" / "__main__.py").touch()
        (tmp_path / name / "params.yaml").touch()
        monkeypatch.chdir(tmp_path / name)
        monkeypatch.setenv("PYTHONPATH", f"{code}{os.pathsep}/elsewhere")
        with pytest.raises(SystemExit, match=words):
            run_code_of_project()
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    run_code_of_project()
