"""Other libraries with the same model and batch size, in a temporary virtual environment.

This part needs the network, because it installs the packages of `libraries.lock`. Both sides use the same PyTorch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data_sets import prepared
from families import WINDOW
from harness import PROGRESS, Table, run
from triptych_loop import TriptychLoop
from worker_process import WorkerProcess

if TYPE_CHECKING:
    from harness import Context

HERE = Path(__file__).parent
LIBRARIES = {  # the library, and the experiment whose model it trains
    "pythae": "vae-20d",
    "nflows": "realnvp-mnist",
    "normflows": "realnvp-mnist",
}


def install(folder: Path) -> Path:
    """Create an environment with the libraries, which uses all other packages of this one; return its interpreter."""
    PROGRESS.say("libraries: install them")
    environment = dict(os.environ)
    run([sys.executable, "-m", "venv", str(folder)], folder.parent, environment)
    python = folder / "bin" / "python"
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    (packages / "main.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    words = ["install", "--quiet", "--no-deps", "--require-hashes", "-r", str(HERE / "libraries.lock")]
    run([str(python), "-m", "pip", *words], folder.parent, environment)
    return python


def measure(context: Context) -> list[Table]:
    """Fill the table `libraries`."""
    table, python = Table("libraries"), install(context.folder / "environment")
    for library, name in LIBRARIES.items():
        experiment = context.settings.experiment(name).at("full")
        data = prepared(context.settings, experiment.dataset, context.folder)
        pixels = context.folder / "images.npy"
        np.save(pixels, data.images("train"))
        threads = context.settings.runtime.threads
        settings = {
            "library": library,
            "pixels": str(pixels),
            "threads": threads,
            "seconds": WINDOW,
            "batch_size": experiment.batch_size,
            "learning_rate": experiment.learning_rate,
            "folder": str(context.folder / "libraries"),
            **experiment.model_at("full").model_dump(mode="json"),
        }
        row = f"{library}, the model of {name}"
        with WorkerProcess(threads, TriptychLoop, context.settings, name, data, "full") as triptych:
            steps = triptych.steps_in(WINDOW)
            for _ in PROGRESS.rounds(f"libraries: {library}", context.rounds):
                triptych_rate = steps * triptych.images_per_step / triptych.seconds(steps)
                library_rate = _rate(python, settings)
                table.add(row, "Triptych", triptych_rate, "images/s")
                table.add(row, "library", library_rate, "images/s")
                table.add(row, "times faster", triptych_rate / library_rate)
    return [table]


def _rate(python: Path, settings: Mapping[str, Any]) -> float:
    """Return images per second of a library. Raises RuntimeError with the end of its output if it fails."""
    words = [str(python), str(HERE / "library_loops.py"), json.dumps(settings)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{settings['library']} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])
