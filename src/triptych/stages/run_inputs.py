"""The inputs of a training run, as its manifest has them. Their hash is the run's fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triptych.core.hashing import sha256_of_json
from triptych.core.settings_types import resolve, value_at

if TYPE_CHECKING:
    from triptych.data.prepared import PreparedData
    from triptych.models.classifier.settings import Classifier
    from triptych.settings.experiment import Experiment
    from triptych.studies.settings import StudySettings
    from triptych.training.settings import Runtime

ARITHMETIC = ("device", "threads", "precision", "channels_last", "compile")
"""Keys of `runtime` that the numbers depend on."""
STUDY_ARITHMETIC = {"device": "cpu", "threads": 1, "precision": "float32"}


def train_inputs(
    settings: Experiment | Classifier, profile: str, runtime: Runtime, data: PreparedData
) -> dict[str, Any]:
    """Return family, fingerprint and inputs of an experiment or a classifier.

    The inputs are the settings, resolved for the profile, the arithmetic and the data.
    """
    processes = runtime.processes_for(settings.model)
    inputs = {
        "profile": profile,
        "settings": resolve(settings.model_dump(mode="json"), profile),
        "runtime": {key: getattr(runtime, key) for key in ARITHMETIC}
        | ({"processes": processes} if processes > 1 else {}),
        "data": {key: data.manifest[key] for key in ("dataset", "source", "sha256", "splits", "image_shape")},
    }
    return {"family": settings.family, "fingerprint": sha256_of_json(inputs), **inputs}


def study_inputs(settings: StudySettings, profile: str) -> dict[str, Any]:
    """Return kind, inputs and fingerprint of a study.

    The inputs are the settings and the arithmetic. A study draws its data from its seed.
    """
    inputs = {
        "profile": profile,
        "settings": settings.model_dump(mode="json") | {"iterations": value_at(settings.iterations, profile)},
        "runtime": STUDY_ARITHMETIC,
    }
    return {"family": settings.study, **inputs, "fingerprint": sha256_of_json(inputs)}
