"""Stage `train`: train an experiment on prepared images, and write its model folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from triptych.core.file_names import HISTORY, MANIFEST, WEIGHTS
from triptych.core.files import atomic_folder
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import write_json
from triptych.core.tracker import Tracker
from triptych.data.prepared import PreparedData
from triptych.models.common.registry import build
from triptych.stages.run_inputs import train_inputs
from triptych.training import distributed
from triptych.training.checkpoint import snapshot_name
from triptych.training.checkpoint_locks import checkpoint_folder
from triptych.training.family import Family
from triptych.training.history import write_history
from triptych.training.images import HeldOutImages, TrainingImages, require_batch
from triptych.training.loop import fit
from triptych.training.machine import machine_facts
from triptych.training.reproducible import deterministic, run_key, seeded
from triptych.training.settings import Runtime
from triptych.training.trainer import Duration, Trainer
from triptych.training.weights import save_tensors

if TYPE_CHECKING:
    from triptych.settings.experiment import Experiment


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
    """Train the experiment on the prepared data in `data`, and write the model folder `output`.

    | file | content |
    | --- | --- |
    | `weights.safetensors` | the weights after the last epoch; with EMA, the averaged weights |
    | `epoch-*.safetensors` | snapshots: the weights that samples are drawn from, after that epoch |
    | `history.csv` | one row per epoch; row 0 describes the untrained model |
    | `manifest.json` | inputs, and checksums of the files |

    An unfinished run with the same settings, data and `code` (a hash) under `checkpoints` is resumed. Raises
    TriptychError if the run diverges, or if its checkpoint is damaged.

    If several processes call this function in one `process_group`, they train one model, and rank 0 writes it.
    """
    prepared = PreparedData.open(data)
    inputs = train_inputs(experiment, profile, runtime, prepared)
    training = experiment.at(profile)
    duration = Duration(training.epochs, training.epoch_updates, training.snapshot_epochs)
    fingerprint = inputs["fingerprint"]
    tracker.start(inputs)
    with (
        deterministic(runtime) as device,
        checkpoint_folder(checkpoints, name, run_key(device, fingerprint, code), output, tracker.say) as folder,
    ):
        tracker.note(**machine_facts(device))
        family = build_family(experiment, profile, runtime, prepared, device)
        images = TrainingImages.load(prepared, device, experiment.max_shift, on_device=runtime.data_on_device)
        with seeded(experiment.seed, "initialisation from data"):
            family.initialise(images.pixels)
        trainer = Trainer(name, family, training, duration, runtime)
        require_batch(f"experiments.{name}.batch_size", trainer.images_per_step, prepared)
        held_out = HeldOutImages(prepared, "valid", device)
        history = fit(trainer, images=images, held_out=held_out, checkpoints=folder, tracker=tracker)
        if distributed.rank():
            return
        with atomic_folder(output) as model:
            save_tensors(model / WEIGHTS, trainer.weights())
            snapshots = duration.snapshots(family.first_snapshot)
            for epoch in snapshots:
                shutil.copyfile(folder.snapshot(epoch), model / snapshot_name(epoch))
            write_history(model / HISTORY, history)
            manifest = {
                "experiment": name,
                **inputs,
                "epoch_updates": trainer.steps(images),
                "snapshots": snapshots,
                "parameters": sum(parameter.numel() for parameter in family.networks.parameters()),
                "weights_sha256": sha256_of_file(model / WEIGHTS),
                "files": {path.name: sha256_of_file(path) for path in sorted(model.iterdir())},
            }
            write_json(model / MANIFEST, manifest)
    tracker.say(f"{name}: trained for {duration.epochs} epochs on {prepared.name}")


def build_family(
    experiment: Experiment, profile: str, runtime: Runtime, data: PreparedData, device: torch.device
) -> Family:
    """Return the experiment's family on the device, with freshly initialised networks."""
    with seeded(experiment.seed, "initialisation"):
        family = build(experiment.family, experiment.model_at(profile), tuple(data.manifest["image_shape"]))
    family.networks.to(device)
    if runtime.channels_last:
        family.networks.to(memory_format=torch.channels_last)
    if runtime.compile and distributed.world_size() == 1:  # torch.compile cannot trace the all-reduces
        for module in family.compiled():
            module.compile()
    return family
