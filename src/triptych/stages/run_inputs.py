"""What a training run is a function of. The hash of all of it is the run's fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.core.schema import resolve

if TYPE_CHECKING:
    from triptych.data.prepared import PreparedData
    from triptych.models.classifier.settings import Classifier
    from triptych.settings.experiment import Experiment
    from triptych.studies.settings import StudySettings
    from triptych.training.settings import Runtime

ARITHMETIC = ("device", "threads", "precision", "channels_last", "compile")  # what of `runtime` the numbers depend on
STUDY_ARITHMETIC = {"device": "cpu", "threads": 1, "precision": "float32"}


def train_inputs(
    settings: Experiment | Classifier, profile: str, runtime: Runtime, data: PreparedData
) -> dict[str, object]:
    """Settings resolved for the profile, arithmetic and data of an experiment or a classifier."""
    processes = runtime.processes_for(settings.model)
    return {
        "profile": profile,
        "settings": resolve(settings.model_dump(mode="json"), profile),
        "runtime": {key: getattr(runtime, key) for key in ARITHMETIC}
        | ({"processes": processes} if processes > 1 else {}),
        "data": {key: data.manifest[key] for key in ("dataset", "source", "sha256", "splits", "image_shape")},
    }


def study_inputs(settings: StudySettings, profile: str) -> dict[str, object]:
    """The same of a study, which has no data but what it draws itself."""
    return {
        "profile": profile,
        "settings": settings.model_dump(mode="json") | {"iterations": getattr(settings.iterations, profile)},
        "runtime": STUDY_ARITHMETIC,
    }
