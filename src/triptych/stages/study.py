"""Stage `study`: many configurations of a small problem, trained, measured and drawn.

Whatever `runtime` says, the arithmetic runs on one thread of the CPU, in float32: on tensors this small, more threads
or a GPU would mostly wait for each other.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from triptych.core.file_names import HISTORY, MANIFEST, WEIGHTS
from triptych.core.files import atomic_folder
from triptych.core.hashing import sha256_of_file, sha256_of_json
from triptych.core.json_files import flatten, is_number, write_json
from triptych.stages.run_inputs import STUDY_ARITHMETIC, study_inputs
from triptych.studies.base import StudyEvaluation
from triptych.studies.kinds import load_study
from triptych.studies.loop import fit
from triptych.training.checkpoint import Workplace, write_history
from triptych.training.reproducible import deterministic, machine_facts, run_key, seeded
from triptych.training.weights import save_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from triptych.core.tracker import Tracker
    from triptych.studies.settings import StudySettings
    from triptych.training.checkpoint import History
    from triptych.training.settings import Runtime


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

    | where | what |
    | --- | --- |
    | `output/weights.safetensors` | what training gave, `<configuration>/<tensor>` |
    | `output/history.csv` | a row now and then, `<configuration>.<quantity>`: the iterations since the row before it |
    | `output/manifest.json` | what it was trained with |
    | `metrics` | the numbers of each configuration, JSON |
    | `plots/` | pictures; `<configuration>.csv`, its curve for `dvc plots`; `numbers.yaml`, the numbers once more |

    An unfinished run of the same settings and `code` (a hash) found under `checkpoints` is continued. Raises
    TriptychError if a configuration diverges, or if the checkpoint is damaged or in another process's hands.
    """
    iterations = getattr(settings.iterations, profile)
    inputs = study_inputs(settings, profile)
    fingerprint = sha256_of_json(inputs)
    training, measures, pictures = load_study(settings.study)
    with (
        deterministic(runtime.model_copy(update=STUDY_ARITHMETIC)) as device,
        Workplace.claim(checkpoints, name, run_key(device, fingerprint, code), output, tracker.say) as workplace,
    ):
        tracker.note(**machine_facts(device))
        configurations = training.build(settings, iterations)
        history = fit(
            name,
            configurations,
            iterations,
            workplace=workplace,
            checkpoint_seconds=runtime.checkpoint_seconds,
            tracker=tracker,
            clock=time.monotonic,
        )
        with atomic_folder(output) as folder, atomic_folder(plots) as drawn:
            save_tensors(folder / WEIGHTS, configurations.weights())
            write_history(folder / HISTORY, history)
            evaluation = StudyEvaluation(name, settings, folder / WEIGHTS, history, drawn)
            with seeded(settings.seed, "evaluation"):
                numbers = measures.measure(evaluation)
            pictures.draw_pictures(evaluation, numbers)
            facts = {"fingerprint": fingerprint, "weights_sha256": sha256_of_file(folder / WEIGHTS)}
            result = {
                **numbers,
                "configurations": [name for name in numbers if name in configurations.configurations],
                "iterations": iterations,
                "profile": profile,
                **facts,
            }
            write_json(folder / MANIFEST, {"experiment": name, "family": settings.study, **inputs, **facts})
            _write_curves(drawn, history, configurations.configurations)
            lines = [f"{key}: {value!r}\n" for key, value in flatten(result).items() if is_number(value)]
            (drawn / "numbers.yaml").write_text("".join(lines), encoding="utf-8")
            write_json(metrics, result)
    tracker.say(f"{name}: {len(configurations.configurations)} configurations, {iterations:,} iterations")


def _write_curves(folder: Path, history: History, configurations: Sequence[str]) -> None:
    """A file a configuration: its first quantity over the iterations."""
    for configuration in configurations:
        column = next(key for key in history[0] if key.startswith(f"{configuration}."))
        lines = [f"{row['iteration']},{row[column]!r}" for row in history]
        text = "\n".join([f"iteration,{column.removeprefix(f'{configuration}.')}", *lines]) + "\n"
        (folder / f"{configuration}.csv").write_text(text, encoding="utf-8")
