"""Habits of the code base that are easy to lose."""

from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner

from conftest import ROOT
from triptych.cli import cli

HEAVY = ("torch", "torchvision", "torch_fidelity", "mlflow", "matplotlib", "pandas", "sklearn", "scipy", "dvc")


LIGHT = ("cli", "config", "models.vae.settings", "studies.planar.settings", "stages.fetch", "stages.prepare")
WITHOUT_MLFLOW = ("stages.train", "stages.study", "stages.report", "page.build")
UPDATE = """
import torch
from triptych.training.adam import Adam, clipped
from triptych.training.rmsprop import RMSprop
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


def test_what_the_documents_forbid_is_not_used() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "torch.distributions" not in text, path
        for unsafe in ("pickle.load", "allow_pickle=True", "yaml.load(", "weights_only=False", "shell=True", "eval("):
            assert unsafe not in text.replace("network.eval()", "").replace(".eval()", ""), (path, unsafe)


def test_the_lock_names_no_addresses_and_holds_the_pins() -> None:
    for name in ("requirements.lock", "bootstrap.lock"):
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
        "reference-statistics",
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
