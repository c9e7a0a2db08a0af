"""Triptych: VAEs, GANs and normalizing flows, trained, judged and compared in one reproducible pipeline.

| name | purpose |
| --- | --- |
| `load` | load a trained experiment, from a project, a folder or MLflow's model registry |
| `results` | return the comparison of all experiments as a table |
| `score` | measure FID, KID, IS, precision and recall of images of any origin |
| `train` | train a model on images in memory, outside any pipeline |
| `objectives` | the package of the documents' functions |
| `TrainedModel` | the class of the models that `load` and `train` return |
| `TriptychError` | the error for everything that a user can correct; its message is one sentence |
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych import objectives
    from triptych.api.models import load
    from triptych.api.results import results
    from triptych.api.scores import score
    from triptych.api.training import train
    from triptych.core.errors import TriptychError
    from triptych.inference.trained_model import TrainedModel

__all__ = ["TrainedModel", "TriptychError", "load", "objectives", "results", "score", "train"]

MODULES = {
    "TrainedModel": "triptych.inference.trained_model",
    "TriptychError": "triptych.core.errors",
    "load": "triptych.api.models",
    "results": "triptych.api.results",
    "score": "triptych.api.scores",
    "train": "triptych.api.training",
}
"""The module of each name, imported at the first use, since torch and MLflow take seconds."""


if not TYPE_CHECKING:  # an editor knows the names by the imports above, and marks all others

    def __getattr__(name: str) -> Any:  # noqa: ANN401 (any of the names above)
        if name == "objectives":
            return import_module("triptych.objectives")
        if name not in MODULES:
            raise AttributeError(f"module 'triptych' has no attribute {name!r}")
        value = getattr(import_module(MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return list(__all__)
