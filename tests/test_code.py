"""Habits of the code base that are easy to lose."""

from __future__ import annotations

import ast
import subprocess
import sys
from ipaddress import ip_address

import pytest
from click.testing import CliRunner

from conftest import ROOT
from triptych.cli.main import cli
from triptych.records.mlflow.ui import HOST

HEAVY = ("torch", "torchvision", "torch_fidelity", "mlflow", "matplotlib", "pandas", "sklearn", "scipy", "dvc")


LIGHT = ("cli.main", "settings.params", "models.vae.settings", "studies.planar.settings", "stages.fetch", "stages.prepare")
WITHOUT_MLFLOW = ("stages.train", "stages.study", "stages.report", "reports.page.build")
UPDATE = """
import torch
from triptych.training.adam import Adam, clipped
from triptych.studies.planar.rmsprop import RMSprop
weight = torch.nn.Parameter(torch.ones(3))
Adam([weight], [0.9, 0.999], 0.0).step(clipped([torch.ones(3)], 1.0), 0.1)
RMSprop([weight], 0.99).step([torch.ones(3)], 0.1)
"""


def loaded_by(modules: tuple[str, ...], work: str = "") -> set[str]:
    """What a process has imported in the end that imports these modules of ours, and works."""
    script = "\n".join(
        ["import sys", *(f"import triptych.{module}" for module in modules), work, "print(*sys.modules)"]
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_light_modules_import_nothing_heavy() -> None:
    assert loaded_by(LIGHT) & set(HEAVY) == set()


def test_stages_do_not_need_mlflow_or_torchvision_nor_an_update_the_compiler() -> None:
    """Two seconds each of every training process."""
    assert loaded_by(WITHOUT_MLFLOW, UPDATE) & {"mlflow", "torchvision", "dvc", "torch._dynamo"} == set()


UNPICKLERS = {
    "pickle",
    "cPickle",
    "_pickle",
    "marshal",
    "shelve",
    "dill",
    "joblib",
    "cloudpickle",
    "torch.distributions",
}
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "tempfile.mktemp",
    "yaml.load",
    "torch.load",
}


def forbidden(source: str) -> list[str]:
    """What must not stand on a path that reads a file: unpicklers, code from text, shells, and loaders that trust."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            names = [alias.name for alias in node.names]
            modules = [*names, module, *(f"{module}.{name}" for name in names)] if module else names
            found += [name for name in modules if UNPICKLERS & {name, name.split(".")[0]} or name in FORBIDDEN]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        words = {word.arg: ast.unparse(word.value) for word in node.keywords}
        trusting = {
            "np.load": words.get("allow_pickle") != "False",
            "numpy.load": words.get("allow_pickle") != "False",
            "npy.read_array": words.get("allow_pickle") != "False",
            "YAML": words.get("typ") != "'safe'",
        }
        shells = words.get("shell", "False") != "False"
        if name in FORBIDDEN or name.endswith((".extractall", "unpack_archive")) or trusting.get(name) or shells:
            found.append(name)
    return found


def test_nothing_that_reads_a_file_runs_what_is_in_it() -> None:
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        assert forbidden(path.read_text(encoding="utf-8")) == [], path


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from marshal import loads", "import torch.distributions", "from torch import distributions",
        "from torch import load", "torch.load(path)", "np.load(path)", "np.load(path, allow_pickle=True)", "eval(text)",
        "yaml.load(text)", "YAML()", "archive.extractall(folder)", "subprocess.run(text, shell=True)",
        "os.system(text)", "tempfile.mktemp()", "npy.read_array(file)",
    ],
)  # fmt: skip
def test_the_check_sees_what_it_is_for(line: str) -> None:
    assert forbidden(line)
    assert not forbidden("np.load(path, allow_pickle=False); YAML(typ='safe', pure=True); network.eval()")


def test_the_interface_listens_on_this_machine_alone() -> None:
    """And nothing else listens: ruff's S104 refuses a socket on every interface."""
    assert ip_address(HOST).is_loopback
    listening = [path.name for path in (ROOT / "src").rglob("*.py") if "--host" in path.read_text(encoding="utf-8")]
    assert listening == ["ui.py"]
    assert '"--host", HOST' in (ROOT / "src/triptych/records/mlflow/ui.py").read_text(encoding="utf-8")


def test_the_lock_names_no_addresses_and_holds_the_pins() -> None:
    for name in ("requirements.lock", "bootstrap.lock", "tests/browser/playwright.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "://" not in text
        assert "--hash=sha256:" in text
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for pin in ("torch==2.14.0", "torchvision==0.29.2", "dvc==3.67.1", "mlflow==3.17.2", "torch-fidelity==0.4.0"):
        assert f"\n{pin} " in lock


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).stdout
    for command in (
        "fetch",
        "prepare",
        "classifier",
        "reference",
        "train",
        "evaluate",
        "study",
        "report",
        "ui",
        "sync",
        "sample",
        "page",
        "repro",
    ):
        assert f"\n  {command} " in shown
