"""Stage `study`: train many configurations of a small problem, measure them, and draw the pictures.

A study always runs on one thread of the CPU in float32, whatever `runtime` says: its tensors are so small that a GPU
or more threads would only add overhead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from triptych.core.file_names import HISTORY, MANIFEST, RESULTS, WEIGHTS
from triptych.core.files import atomic_folder
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import write_json
from triptych.core.settings_types import value_at
from triptych.core.tracker import Tracker
from triptych.stages.run_inputs import STUDY_ARITHMETIC, study_inputs
from triptych.studies.base import StudyEvaluation, fit
from triptych.studies.kinds import load_study
from triptych.studies.settings import StudySettings
from triptych.training.checkpoint_locks import checkpoint_folder
from triptych.training.history import History, write_history
from triptych.training.machine import machine_facts
from triptych.training.reproducible import deterministic, run_key, seeded
from triptych.training.settings import Runtime
from triptych.training.weights import save_tensors


def study(
    *,
    name: str,
    settings: StudySettings,
    profile: str,
    runtime: Runtime,
    output: Path,
    metrics: Path,
    plots: Path,
    checkpoints: Path,
    code: str,
    tracker: Tracker,
) -> None:
    """Train all configurations side by side, measure them, and draw the pictures.

    | path | content |
    | --- | --- |
    | `output/weights.safetensors` | the results of training, `<configuration>/<tensor>` |
    | `output/history.csv` | one row per chunk of iterations, columns `<configuration>.<quantity>` |
    | `output/manifest.json` | the inputs, and the checksum of the weights |
    | `metrics` | the headline numbers, for DVC's tables |
    | `plots/` | pictures, one curve per configuration for `dvc plots`, and all numbers in `results.json` |

    An unfinished run with the same settings and `code` (a hash) under `checkpoints` is resumed. Raises TriptychError
    if a configuration diverges, or if the checkpoint is damaged.
    """
    iterations = value_at(settings.iterations, profile)
    inputs = study_inputs(settings, profile)
    fingerprint = inputs["fingerprint"]
    tracker.start(inputs)
    training, measures, pictures = load_study(settings.study)
    with (
        deterministic(runtime.model_copy(update=STUDY_ARITHMETIC)) as device,
        checkpoint_folder(checkpoints, name, run_key(device, fingerprint, code), output, tracker.say) as folder,
    ):
        tracker.note(**machine_facts(device))
        built = training.build(settings, iterations)
        interval = runtime.checkpoint_seconds
        history = fit(name, built, iterations, checkpoints=folder, interval=interval, tracker=tracker)
        with atomic_folder(output) as model, atomic_folder(plots) as drawn:
            save_tensors(model / WEIGHTS, built.weights())
            write_history(model / HISTORY, history)
            evaluation = StudyEvaluation(settings, model / WEIGHTS, history, drawn)
            with seeded(settings.seed, "evaluation"):
                numbers = measures.measure(evaluation)
            pictures.draw_pictures(evaluation, numbers)
            weights_sha256 = sha256_of_file(model / WEIGHTS)
            result = {
                **numbers,
                "configurations": [name for name in numbers if name in built.configurations],
                "iterations": iterations,
                "profile": profile,
                "fingerprint": fingerprint,
                "weights_sha256": weights_sha256,
            }
            write_json(model / MANIFEST, {"experiment": name, **inputs, "weights_sha256": weights_sha256})
            _write_curves(drawn, history, built.configurations)
            write_json(drawn / RESULTS, result)
            found = [numbers[configuration] for configuration in result["configurations"]]
            write_json(metrics, measures.headline_numbers(found))
    tracker.say(f"{name}: {len(built.configurations)} configurations, {iterations:,} iterations")


def _write_curves(folder: Path, history: History, configurations: Sequence[str]) -> None:
    """Write one CSV file per configuration: its first quantity over the iterations."""
    for configuration in configurations:
        column = next(key for key in history[0] if key.startswith(f"{configuration}."))
        lines = [f"{row['iteration']},{row[column]!r}" for row in history]
        text = "\n".join([f"iteration,{column.removeprefix(f'{configuration}.')}", *lines]) + "\n"
        (folder / f"{configuration}.csv").write_text(text, encoding="utf-8")
