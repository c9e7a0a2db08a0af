"""Rules for the whole code base: light imports, safe readers, no open ports, pinned versions."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from ipaddress import ip_address

import pytest

from conftest import ROOT
from triptych.records.mlflow.ui import HOST

HEAVY = ("torch", "torchvision", "torch_fidelity", "mlflow", "matplotlib", "pandas", "sklearn", "scipy", "dvc")


LIGHT = (
    "cli.main",
    "settings.params",
    "models.vae.settings",
    "studies.planar.settings",
    "stages.fetch",
    "stages.prepare",
)
WITHOUT_MLFLOW = ("stages.train", "stages.study", "stages.report", "reports.page.build")
UPDATE = """
import torch
from triptych.training.optimizers import Adam, RMSprop, clipping_divisor
weight = torch.nn.Parameter(torch.ones(3))
Adam([weight], [0.9, 0.999], 0.0).step([torch.ones(3)], 0.1, clipping_divisor([torch.ones(3)], 1.0))
RMSprop([weight], 0.99).step([torch.ones(3)], 0.1)
"""


def loaded_by(modules: tuple[str, ...], work: str = "") -> set[str]:
    """Return all modules in a process that imports these modules of ours and then runs the code `work`."""
    script = "\n".join(
        ["import sys", *(f"import triptych.{module}" for module in modules), work, "print(*sys.modules)"]
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_light_modules_import_nothing_heavy() -> None:
    assert loaded_by(LIGHT) & set(HEAVY) == set()


def test_stages_import_neither_mlflow_nor_torchvision_nor_the_compiler() -> None:
    """Each of these imports takes two seconds in every training process."""
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
    """Return the unsafe names in the source: unpicklers, code from text, shells, and loaders that can run code."""
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
        unsafe = {
            "np.load": words.get("allow_pickle") != "False",
            "numpy.load": words.get("allow_pickle") != "False",
            "npy.read_array": words.get("allow_pickle") != "False",
            "YAML": words.get("typ") not in ("'safe'", "'rt'"),  # both create plain data alone
        }
        shells = words.get("shell", "False") != "False"
        if name in FORBIDDEN or name.endswith((".extractall", "unpack_archive")) or unsafe.get(name) or shells:
            found.append(name)
    return found


def test_no_reader_of_files_can_run_their_content() -> None:
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
def test_the_check_finds_unsafe_code(line: str) -> None:
    assert forbidden(line)
    assert not forbidden("np.load(path, allow_pickle=False); YAML(typ='safe', pure=True); YAML(typ='rt'); net.eval()")


def test_only_the_mlflow_interface_listens_and_only_on_this_machine() -> None:
    """Ruff's rule S104 forbids sockets that listen on all network interfaces."""
    assert ip_address(HOST).is_loopback
    listening = [path.name for path in (ROOT / "src").rglob("*.py") if "--host" in path.read_text(encoding="utf-8")]
    assert listening == ["ui.py"]
    assert '"--host", HOST' in (ROOT / "src/triptych/records/mlflow/ui.py").read_text(encoding="utf-8")


def test_lock_files_contain_hashes_and_pins_but_no_addresses() -> None:
    locks = [*ROOT.glob("*.lock"), *(ROOT / "tests").rglob("*.lock"), *(ROOT / "benchmarks").glob("*.lock")]
    locks = [path for path in locks if path.name != "dvc.lock"]
    assert len(locks) == 8
    for path in locks:
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        assert "--hash=sha256:" in text
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["constraint-dependencies"]
    assert len(pins) == 5
    assert all(f"\n{pin} " in lock for pin in pins)
