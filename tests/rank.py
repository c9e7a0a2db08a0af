"""One training process for tests/test_processes.py: `rank.py SETTINGS DATA OUTPUT`, alone or under torchrun.

It computes in float64, so that errors are much larger than rounding. In float32 they are not: Adam divides by the size
of a gradient, so the rounding error of a zero gradient (for example, of a bias before batch normalisation) becomes a
whole step.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from triptych.core.tracker import Tracker
from triptych.settings.params import Settings, parse
from triptych.stages import train as stage
from triptych.training import distributed
from triptych.training.trainer import Trainer
from triptych.training.weights import save_tensors

NAME, UPDATES, STOPPED = "cifar10-jsd-2", 3, 1
FREE = {"spectral_normalization": False, "reg_type": "none", "reg_cf": 0.0}
CASES: dict[str, dict[str, Any]] = {
    "jsd": {**FREE, "loss_type": "jsd"},
    "w1 spectral": {**FREE, "loss_type": "w1", "spectral_normalization": True},
    "jsd r1gp": {**FREE, "loss_type": "jsd", "reg_type": "r1gp", "reg_cf": 1.0},
    "w1 ogp": {**FREE, "loss_type": "w1", "reg_type": "ogp", "reg_cf": 1.0},
}
RESUMED = "w1 ogp"


class Stopper(Tracker):
    """Stop the run after one epoch."""

    def log(self, row: Mapping[str, float]) -> None:
        if row["epoch"] == STOPPED:
            raise KeyboardInterrupt


def run(settings: Settings, data: Path, folder: Path, model: Mapping[str, Any], tracker: Tracker | None = None) -> None:
    """Train to `folder/model` with one update per epoch, and save the trainer's final state in `folder`."""
    experiment = settings.experiment(NAME)
    budget = experiment.epochs.model_copy(update={"quick": UPDATES})
    once = experiment.epoch_updates.model_copy(update={"quick": 1})
    changes = {"epochs": budget, "epoch_updates": once, "ema": 0.9, "gradient_clip": 5.0}
    experiment = experiment.model_copy(update={**changes, "model": experiment.model.model_copy(update=model)})

    def fit(trainer: Trainer, **words: Any) -> Any:
        history = original(trainer, **words)
        save_tensors(folder / f"state-{distributed.rank()}.safetensors", trainer.state())
        return history

    original, stage.fit = stage.fit, fit
    try:
        stage.train(
            name=NAME,
            experiment=experiment,
            profile="quick",
            runtime=settings.runtime,
            data=data,
            output=folder / "model",
            checkpoints=folder / "checkpoints",
            code="code",
            tracker=tracker or Tracker(),
        )
    finally:
        stage.fit = original


def main() -> None:
    settings, data, output = parse(json.loads(Path(sys.argv[1]).read_text())), Path(sys.argv[2]), Path(sys.argv[3])
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    with distributed.process_group(settings.runtime, settings.runtime.processes):
        for name, model in CASES.items():
            run(settings, data, output / name, model)
        try:
            run(settings, data, output / "resumed", CASES[RESUMED], Stopper())
        except KeyboardInterrupt:
            run(settings, data, output / "resumed", CASES[RESUMED])


if __name__ == "__main__":
    main()
