"""Other libraries at the same model and batch, in a throw-away environment beside this one.

This part alone takes the network, to install the few packages of `peers.lock`. PyTorch is the same for both.
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

from apart import Apart
from data import prepared
from families import WINDOW
from harness import PROGRESS, Table, run
from ours import Training

if TYPE_CHECKING:
    from bench import Bench

HERE = Path(__file__).parent
PEERS = {  # the library: the experiment whose model it trains
    "pythae": "vae-20d",
    "nflows": "realnvp-mnist",
    "normflows": "realnvp-mnist",
}


def install(folder: Path) -> Path:
    """An environment with the peers, which finds everything else in this one; its interpreter."""
    PROGRESS.say("peers: installing them")
    environment = dict(os.environ)
    run([sys.executable, "-m", "venv", str(folder)], folder.parent, environment)
    python = folder / "bin" / "python"
    packages = next((folder / "lib").glob("python*")) / "site-packages"
    (packages / "main.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    words = ["install", "--quiet", "--no-deps", "--require-hashes", "-r", str(HERE / "peers.lock")]
    run([str(python), "-m", "pip", *words], folder.parent, environment)
    return python


def measure(bench: Bench) -> list[Table]:
    """One table, `peers`."""
    table, python = Table("peers"), install(bench.folder / "environment")
    for peer, name in PEERS.items():
        experiment = bench.settings.experiment(name)
        data = prepared(bench.settings, experiment.dataset, bench.folder)
        pixels = bench.folder / "peers.npy"
        np.save(pixels, data.images("train"))
        threads = bench.settings.runtime.threads
        settings = {
            "peer": peer,
            "pixels": str(pixels),
            "threads": threads,
            "seconds": WINDOW,
            "batch_size": experiment.batch_size,
            "learning_rate": experiment.learning_rate,
            "folder": str(bench.folder / "peers"),
            **experiment.model_at("full").model_dump(mode="json"),
        }
        row = f"{peer}, the model of {name}"
        with Apart(threads, Training, bench.settings, name, data, "full") as ours:
            steps = ours.steps_in(WINDOW)
            for _ in PROGRESS.rounds(f"peers: {peer}", bench.rounds):
                our_rate = steps * ours.images_a_step / ours.seconds(steps)
                their_rate = _rate(python, settings)
                table.add(row, "Triptych", our_rate, "images/s")
                table.add(row, "peer", their_rate, "images/s")
                table.add(row, "times faster", our_rate / their_rate)
    return [table]


def _rate(python: Path, settings: Mapping[str, Any]) -> float:
    """Images a second of the peer that the settings name. Raises RuntimeError, with its last words, if it fails."""
    words = [str(python), str(HERE / "peer_loops.py"), json.dumps(settings)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{settings['peer']} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])
