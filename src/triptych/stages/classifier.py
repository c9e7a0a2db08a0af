"""Stage `classifier`: the network that names the classes of a data set's images, and may judge generated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy

from triptych.data.augmentation import shift_and_mirror, shift_images
from triptych.data.prepared import PreparedData
from triptych.errors import TriptychError
from triptych.files import atomic_folder, sha256_of_file, sha256_of_json, write_json
from triptych.models.classifier.network import Classifier, build_classifier
from triptych.stages.inputs import train_inputs
from triptych.training.checkpoint import write_history
from triptych.training.progress import Progress
from triptych.training.reproducible import describe_device, deterministic, generator, seeded
from triptych.training.weights import save_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.sections import Classifier as Settings
    from triptych.sections import Runtime
    from triptych.tracker import Tracker


def train_classifier(
    *,
    name: str,
    settings: Settings,
    profile: str,
    runtime: Runtime,
    data: Path,
    output: Path,
    metrics: Path,
    tracker: Tracker,
) -> None:
    """Train the classifier of data set `name`; write its folder `output` and its numbers `metrics`.

    | file | what it holds |
    | --- | --- |
    | `weights.safetensors` | the network |
    | `history.csv`, `manifest.json` | accuracy by epoch; what the extractor is called beside each number |
    """
    prepared, epochs = PreparedData.open(data), getattr(settings.epochs, profile)
    inputs = train_inputs(settings, profile, runtime, prepared)
    fingerprint = sha256_of_json(inputs)
    with deterministic(runtime) as device:
        tracker.note(device=describe_device(device))
        splits = {split: _load(prepared, split, device) for split in ("train", "valid", "test")}
        with seeded(settings.seed, "initialisation"):
            network = build_classifier(settings.model_at(profile)).to(device)
        history = _fit(network=network, settings=settings, epochs=epochs, splits=splits, name=name, tracker=tracker)
        scores = {split: accuracy(network, *splits[split]) for split in ("valid", "test")}
    with atomic_folder(output) as folder:
        save_tensors(folder / "weights.safetensors", network.state_dict())
        write_history(folder / "history.csv", history)
        manifest = {
            "family": "classifier",
            "fingerprint": fingerprint,
            **inputs,
            "extractor": f"classifier-{name} ({scores['test']:.2%} test accuracy)",
            "weights_sha256": sha256_of_file(folder / "weights.safetensors"),
        }
        write_json(folder / "manifest.json", manifest)
    result = {
        "accuracy": scores,
        "profile": profile,
        "data": {key: prepared.manifest[key] for key in ("dataset", "source", "sha256")},
        "fingerprint": fingerprint,
        "weights_sha256": manifest["weights_sha256"],
    }
    write_json(metrics, result)
    tracker.say(f"classifier-{name}: {scores['test']:.2%} of the test images right")


def _load(prepared: PreparedData, split: str, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    pixels, labels = torch.from_numpy(prepared.images(split)), torch.from_numpy(prepared.labels(split)).long()
    return pixels.to(device), labels.to(device)


def _fit(
    *, network: Classifier, settings: Settings, epochs: int, splits: dict, name: str, tracker: Tracker
) -> list[dict[str, float]]:
    pixels, labels = splits["train"]
    optimizer = _optimizer(settings, network)
    steps = len(pixels) // settings.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=max(epochs * steps, 1)
    )
    progress = Progress(f"classifier-{name}", epochs * len(pixels), 0)
    history = [{"epoch": 0, "valid_accuracy": accuracy(network, *splits["valid"])}]
    tracker.log(0, history[0])
    for epoch in range(1, epochs + 1):
        network.train()
        order = generator(settings.seed, "order", epoch)
        total = torch.zeros((), device=pixels.device)
        with seeded(settings.seed, "epoch", epoch):
            batches = torch.randperm(len(pixels), generator=order).to(pixels.device).split(settings.batch_size)[:steps]
            for step, batch in enumerate(batches):
                loss = cross_entropy(network(_augmented(pixels[batch], settings)), labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.detach()
                if progress.due():
                    seen = (epoch - 1) * len(pixels) + (step + 1) * settings.batch_size
                    progress.report(seen, f"epoch {epoch}/{epochs}  loss {loss.item():,.3f}")
        if not torch.isfinite(total):
            raise TriptychError(f"classifier-{name} diverged: lower classifiers.{name}.learning_rate")
        row = {
            "epoch": epoch,
            "train_loss": float(total) / steps,
            "valid_accuracy": accuracy(network, *splits["valid"]),
        }
        history.append(row)
        tracker.log(epoch, row)
    seconds = progress.finish()
    tracker.note(train_seconds=seconds, images_per_second=epochs * len(pixels) / seconds if seconds else 0.0)
    return history


def _optimizer(settings: Settings, network: Classifier) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay, fused=True)
    return torch.optim.SGD(network.parameters(), lr=rate, weight_decay=decay, momentum=0.9, nesterov=True, fused=True)


def _augmented(pixels: torch.Tensor, settings: Settings) -> torch.Tensor:
    if settings.augmentation == "shift_and_mirror":
        return shift_and_mirror(pixels, settings.max_shift)
    rows, columns = torch.randint(-settings.max_shift, settings.max_shift + 1, (2,)).tolist()
    return shift_images(pixels, rows, columns)


def accuracy(network: Classifier, pixels: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of images (n, ...) uint8 that the network names right."""
    return int((network.label(pixels) == labels).sum()) / len(labels)
