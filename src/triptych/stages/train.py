"""Stage `train`: prepared images to `models/<experiment>/`: weights, snapshots along the way, history."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from triptych.core.file_names import HISTORY, MANIFEST, WEIGHTS
from triptych.core.files import atomic_folder
from triptych.core.hashing import sha256_of_file, sha256_of_json
from triptych.core.json_files import write_json
from triptych.data.prepared import PreparedData
from triptych.models.common.registry import build
from triptych.stages.run_inputs import train_inputs
from triptych.training import distributed
from triptych.training.checkpoint import Workplace, snapshot_name, write_history
from triptych.training.images import HeldOutImages, TrainingImages
from triptych.training.loop import Duration, Trainer, fit
from triptych.training.reproducible import deterministic, machine_facts, run_key, seeded
from triptych.training.weights import save_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.core.tracker import Tracker
    from triptych.settings.experiment import Experiment
    from triptych.training.settings import Runtime


def _first(device: torch.device) -> torch.device:
    """The device of the first process, by which all of them find the checkpoint."""
    return torch.device(device.type, 0)


@contextmanager
def _workplace(root: Path, name: str, key: str, output: Path, say: Callable[[str], None]) -> Iterator[Workplace]:
    """The workplace of this run, which the first process claims for all that share it."""
    if distributed.rank():
        distributed.meet()
        yield Workplace.of_the_first(root, name, key)
    else:
        with Workplace.claim(root, name, key, output, say) as workplace:
            distributed.meet()
            yield workplace


def train(
    *,
    name: str,
    experiment: Experiment,
    profile: str,
    runtime: Runtime,
    data: Path,
    output: Path,
    checkpoints: Path,
    code: str,
    tracker: Tracker,
) -> None:
    """Train the experiment on the prepared data in `data` and write the model folder `output`.

    | file | what it holds |
    | --- | --- |
    | `weights.safetensors` | the weights after the last epoch, averaged where EMA is on |
    | `epoch-*.safetensors` | of what samples are made by, the same after that epoch |
    | `history.csv` | one row an epoch; row 0 is the untrained model |
    | `manifest.json` | what it was trained on and with |

    An unfinished run of the same settings, data and `code` (a hash) found under `checkpoints` is continued. Raises
    TriptychError if the run diverges, or if its checkpoint is damaged or in another process's hands.

    Called in several processes (`triptych.training.distributed.together`), it is one training, and the first writes.
    """
    prepared = PreparedData.open(data)
    inputs = train_inputs(experiment, profile, runtime, prepared)
    duration = Duration(*(inputs["settings"][key] for key in ("epochs", "epoch_updates", "snapshot_epochs")))
    model = experiment.model_at(profile)
    fingerprint = sha256_of_json(inputs)
    with (
        deterministic(runtime) as device,
        _workplace(checkpoints, name, run_key(_first(device), fingerprint, code), output, tracker.say) as workplace,
    ):
        with seeded(experiment.seed, "initialisation"):
            family = build(experiment.family, model, tuple(prepared.manifest["image_shape"]))
        family.networks.to(device)
        if runtime.channels_last:
            family.networks.to(memory_format=torch.channels_last)
        if runtime.compile and distributed.size() == 1:  # it would have to trace what they say to each other
            for module in family.compiled():
                module.compile()
        images = TrainingImages.load(prepared, device, experiment.max_shift, on_device=runtime.data_on_device)
        held_out = HeldOutImages(prepared, "valid", device)
        with seeded(experiment.seed, "initialisation from data"):
            family.initialise(images.pixels.to(device))
        trainer = Trainer(name, family, experiment, duration, runtime)
        tracker.note(**machine_facts(device))
        history = fit(
            trainer, images=images, held_out=held_out, workplace=workplace, tracker=tracker, clock=time.monotonic
        )
        if distributed.rank():
            return
        with atomic_folder(output) as folder:
            save_tensors(folder / WEIGHTS, trainer.weights())
            snapshots = duration.snapshots(family.first_snapshot)
            for epoch in snapshots:
                shutil.copyfile(workplace.snapshot(epoch), folder / snapshot_name(epoch))
            write_history(folder / HISTORY, history)
            manifest = {
                "experiment": name,
                "family": experiment.family,
                "fingerprint": fingerprint,
                **inputs,
                "epoch_updates": trainer.steps(images),
                "snapshots": snapshots,
                "parameters": sum(parameter.numel() for parameter in family.networks.parameters()),
                "weights_sha256": sha256_of_file(folder / WEIGHTS),
                "files": {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())},
            }
            write_json(folder / MANIFEST, manifest)
    tracker.say(f"{name}: trained for {duration.epochs} epochs on {prepared.name}")
