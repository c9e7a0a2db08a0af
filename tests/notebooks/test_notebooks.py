"""`make notebooks`: run the notebooks from the first cell to the last.

The environment variable TRIPTYCH_PROJECT names a trained project to explore; without it, the tests make a tiny one.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient

from conftest import ROOT

SECONDS = 300  # per cell; the limit only ends a test that has failed


@pytest.fixture(scope="module")
def project(request: pytest.FixtureRequest) -> Path:
    if given := os.environ.get("TRIPTYCH_PROJECT"):
        return Path(given).resolve()
    return request.getfixturevalue("trained_project")


@pytest.fixture(autouse=True)
def private_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the kernel's history and settings out of the user's home."""
    for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))


def run(name: str, folder: Path) -> Counter[str]:
    """Run a notebook in a folder; return how many outputs of each kind it shows. A failing cell raises."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    place = {"metadata": {"path": str(folder)}}
    with TemporaryDirectory() as sockets:  # opens no port; the path of a socket must be short
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{sockets}/kernel")
        NotebookClient(notebook, km=manager, timeout=SECONDS, resources=place).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert [output.text for output in outputs if output.output_type == "stream"] == []
    return Counter("picture" if "image/png" in output.data else "value" for output in outputs)


def times(project: Path) -> dict[Path, int]:
    """Return when each file of a project was written, without the environment."""
    places = (place for place in project.iterdir() if place.name != ".venv")
    files = (path for place in places for path in (place, *place.rglob("*")) if path.is_file())
    return {path: path.stat().st_mtime_ns for path in files}


def test_explore_shows_the_models_of_a_project(project: Path) -> None:
    before = times(project)
    assert run("explore", project) == {"value": 2, "picture": 6}
    assert times(project) == before


def test_objectives_needs_no_project(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run("objectives", tmp_path / "empty") == {"value": 2, "picture": 8}
    assert list((tmp_path / "empty").iterdir()) == []
