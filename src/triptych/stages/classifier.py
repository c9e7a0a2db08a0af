"""Stage `classifier`: train the classifier of a data set, whose features may serve as the extractor of FID."""

from __future__ import annotations

from pathlib import Path

from triptych.core.file_names import HISTORY, MANIFEST, RESULTS, WEIGHTS
from triptych.core.files import atomic_folder
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import write_json
from triptych.core.settings_types import value_at
from triptych.core.tracker import Tracker
from triptych.data.prepared import PreparedData
from triptych.models.classifier.network import build_classifier
from triptych.models.classifier.settings import Classifier
from triptych.models.classifier.training import ClassifierTrainer, LabelledImages, accuracy, fit_classifier
from triptych.stages.run_inputs import train_inputs
from triptych.training.checkpoint_locks import checkpoint_folder
from triptych.training.history import write_history
from triptych.training.images import require_batch
from triptych.training.machine import machine_facts
from triptych.training.reproducible import deterministic, run_key, seeded
from triptych.training.settings import Runtime
from triptych.training.weights import save_tensors


def train_classifier(
    *,
    name: str,
    settings: Classifier,
    profile: str,
    runtime: Runtime,
    data: Path,
    output: Path,
    metrics: Path,
    plots: Path,
    checkpoints: Path,
    code: str,
    tracker: Tracker,
) -> None:
    """Train the classifier of data set `name`. Write its folder `output`, its accuracy on test images to `metrics`, and
    all numbers to `results.json` in the folder `plots`.

    | file | content |
    | --- | --- |
    | `weights.safetensors` | the weights of the network |
    | `history.csv` | one row per epoch: training loss and validation accuracy |
    | `manifest.json` | inputs, and the extractor's name that stands beside each number |

    An unfinished run with the same settings, data and `code` (a hash) under `checkpoints` is resumed. Raises
    TriptychError if the run diverges, or if its checkpoint is damaged.
    """
    epochs = value_at(settings.epochs, profile)
    prepared = PreparedData.open(data)
    inputs = train_inputs(settings, profile, runtime, prepared)
    require_batch(f"classifiers.{name}.batch_size", settings.batch_size, prepared)
    fingerprint = inputs["fingerprint"]
    tracker.start(inputs)
    with (
        deterministic(runtime) as device,
        checkpoint_folder(
            checkpoints, f"classifier-{name}", run_key(device, fingerprint, code), output, tracker.say
        ) as folder,
    ):
        tracker.note(**machine_facts(device))
        images = {split: LabelledImages.load(prepared, split, device) for split in ("train", "valid", "test")}
        with seeded(settings.seed, "initialisation"):
            network = build_classifier(settings.model_at(profile)).to(device)
        history = fit_classifier(
            name,
            ClassifierTrainer(network, settings, epochs, images["train"], runtime.precision),
            held_out=images["valid"],
            checkpoints=folder,
            checkpoint_seconds=runtime.checkpoint_seconds,
            tracker=tracker,
        )
        scores = {split: accuracy(network, images[split]) for split in ("valid", "test")}
        with atomic_folder(output) as model:
            save_tensors(model / WEIGHTS, network.state_dict())
            write_history(model / HISTORY, history)
            weights_sha256 = sha256_of_file(model / WEIGHTS)
            manifest = {
                **inputs,
                "extractor": f"classifier-{name} ({scores['test']:.2%} test accuracy)",
                "weights_sha256": weights_sha256,
            }
            write_json(model / MANIFEST, manifest)
        result = {
            "accuracy": scores,
            "profile": profile,
            "data": {key: prepared.manifest[key] for key in ("dataset", "source", "sha256")},
            "fingerprint": fingerprint,
            "weights_sha256": weights_sha256,
        }
        with atomic_folder(plots) as plotted:
            write_json(plotted / RESULTS, result)
        write_json(metrics, {"accuracy": scores["test"]})
    tracker.say(f"classifier-{name}: {scores['test']:.2%} test accuracy")
