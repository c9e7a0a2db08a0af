"""Stage `classifier`: the network that names the classes of a data set's images, and may judge generated ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR

from triptych.core.errors import TriptychError
from triptych.core.file_names import HISTORY, MANIFEST, WEIGHTS
from triptych.core.files import atomic_folder
from triptych.core.hashing import sha256_of_file, sha256_of_json
from triptych.core.json_files import write_json
from triptych.core.progress import Progress
from triptych.data.augmentation import shift_and_mirror, shift_images
from triptych.data.prepared import PreparedData
from triptych.models.classifier.network import Classifier, build_classifier
from triptych.stages.run_inputs import train_inputs
from triptych.training.checkpoint import History, Workplace, write_history
from triptych.training.reproducible import deterministic, generator, machine_facts, run_key, seeded
from triptych.training.weights import save_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.core.tracker import Tracker
    from triptych.models.classifier.settings import Classifier as Settings
    from triptych.training.settings import Runtime


def train_classifier(
    *,
    name: str,
    settings: Settings,
    profile: str,
    runtime: Runtime,
    data: Path,
    output: Path,
    metrics: Path,
    checkpoints: Path,
    code: str,
    tracker: Tracker,
) -> None:
    """Train the classifier of data set `name`; write its folder `output` and its numbers `metrics`.

    | file | what it holds |
    | --- | --- |
    | `weights.safetensors` | the network |
    | `history.csv`, `manifest.json` | accuracy by epoch; what the extractor is called beside each number |

    An unfinished run of the same settings, data and `code` (a hash) found under `checkpoints` is continued.
    """
    prepared, epochs = PreparedData.open(data), getattr(settings.epochs, profile)
    inputs = train_inputs(settings, profile, runtime, prepared)
    fingerprint = sha256_of_json(inputs)
    with (
        deterministic(runtime) as device,
        Workplace.claim(
            checkpoints, f"classifier-{name}", run_key(device, fingerprint, code), output, tracker.say
        ) as workplace,
    ):
        tracker.note(**machine_facts(device))
        splits = {split: _load(prepared, split, device) for split in ("train", "valid", "test")}
        with seeded(settings.seed, "initialisation"):
            network = build_classifier(settings.model_at(profile)).to(device)
        history = _fit(
            network=network,
            settings=settings,
            epochs=epochs,
            splits=splits,
            name=name,
            checkpoint_seconds=runtime.checkpoint_seconds,
            workplace=workplace,
            tracker=tracker,
        )
        scores = {split: accuracy(network, *splits[split]) for split in ("valid", "test")}
        with atomic_folder(output) as folder:
            save_tensors(folder / WEIGHTS, network.state_dict())
            write_history(folder / HISTORY, history)
            manifest = {
                "family": "classifier",
                "fingerprint": fingerprint,
                **inputs,
                "extractor": f"classifier-{name} ({scores['test']:.2%} test accuracy)",
                "weights_sha256": sha256_of_file(folder / WEIGHTS),
            }
            write_json(folder / MANIFEST, manifest)
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
    *,
    network: Classifier,
    settings: Settings,
    epochs: int,
    splits: dict,
    name: str,
    checkpoint_seconds: float,
    workplace: Workplace,
    tracker: Tracker,
) -> History:
    pixels, labels = splits["train"]
    optimizer = _optimizer(settings, network)
    steps = len(pixels) // settings.batch_size
    checkpoint = workplace.load()
    if checkpoint:
        done, tensors, history, earlier = checkpoint
        _restore(network, optimizer, tensors)
        tracker.resume(list(history))
        tracker.say(f"classifier-{name}: going on after epoch {done} of {epochs}")
    else:
        done, history, earlier = 0, [{"epoch": 0, "valid_accuracy": accuracy(network, *splits["valid"])}], 0.0
        tracker.log(0, history[0])
    schedule = _schedule(optimizer, settings.learning_rate, max(epochs * steps, 1), done * steps)
    progress, saved = Progress(f"classifier-{name}", epochs * len(pixels), done * len(pixels)), time.monotonic()
    for epoch in range(done + 1, epochs + 1):
        network.train()
        order = generator(settings.seed, "order", epoch)
        total = torch.zeros((), device=pixels.device)
        with seeded(settings.seed, "epoch", epoch):
            batches = torch.randperm(len(pixels), generator=order).to(pixels.device).split(settings.batch_size)[:steps]
            for step, batch in enumerate(batches):
                loss = cross_entropy(network(_augmented(pixels.index_select(0, batch), settings)), labels[batch])
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
        last = epoch == epochs
        if workplace.orphaned if last else time.monotonic() - saved >= checkpoint_seconds:
            workplace.save(epoch, _state(network, optimizer), history, earlier + progress.seconds())
            saved = time.monotonic()
    seconds = earlier + progress.finish()
    tracker.note(train_seconds=seconds, images_per_second=epochs * len(pixels) / seconds if seconds else 0.0)
    return history


def _optimizer(settings: Settings, network: Classifier) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay, fused=True)
    return torch.optim.SGD(network.parameters(), lr=rate, weight_decay=decay, momentum=0.9, nesterov=True, fused=True)


def _schedule(optimizer: torch.optim.Optimizer, largest: float, steps: int, done: int) -> OneCycleLR:
    """The rate of one cycle (Smith and Topin 2019), after `done` of its steps."""
    schedule = OneCycleLR(optimizer, largest, total_steps=steps)
    return OneCycleLR(optimizer, largest, total_steps=steps, last_epoch=done - 1) if done else schedule


def _state(network: Classifier, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    tensors = {f"network/{name}": value for name, value in network.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": value for name, value in state.items()}
    return tensors


def _restore(network: Classifier, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    network.load_state_dict(
        {name.removeprefix("network/"): value for name, value in tensors.items() if name.startswith("network/")}
    )
    state: dict[int, dict[str, torch.Tensor]] = {}
    for index, parameter in enumerate(optimizer.param_groups[0]["params"]):
        prefix = f"optimizer/{index}/"
        state[index] = {
            name.removeprefix(prefix): _laid_out_as(parameter, value)
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _laid_out_as(parameter: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """The value in the parameter's memory format, which fused optimisers take for granted; a step count as it is."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def _augmented(pixels: torch.Tensor, settings: Settings) -> torch.Tensor:
    if settings.augmentation == "shift_and_mirror":
        return shift_and_mirror(pixels, settings.max_shift)
    rows, columns = torch.randint(-settings.max_shift, settings.max_shift + 1, (2,)).tolist()
    return shift_images(pixels, rows, columns)


def accuracy(network: Classifier, pixels: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of images (n, ...) uint8 that the network names right."""
    return int((network.label(pixels) == labels).sum()) / len(labels)
