"""The model families by name: the one place that a new family is added to.

A family is a package `triptych.models.<name>` with two modules: `settings`, whose `Model` validates the experiment's
`model:` section, and `family`, whose `build` returns the trainable family. Its loss lives in
`triptych.objectives.<name>`, its numbers and pictures in `triptych.evaluation.<name>`, modules `measure` and
`pictures`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triptych.training.family import Family

FAMILIES = {
    "vae": "Variational autoencoder",
    "gan": "Generative adversarial network",
    "flow": "Normalizing flow",
}


def load_settings_model(family: str) -> Any:  # noqa: ANN401 (a pydantic model class)
    """The class that validates the `model:` section of this family. Imports nothing heavy."""
    return import_module(f"triptych.models.{family}.settings").Model


def build(family: str, model: Any, image_shape: tuple[int, ...]) -> Family:  # noqa: ANN401 (the family's own settings)
    """The family with freshly initialised networks, drawn from torch's global generator."""
    return import_module(f"triptych.models.{family}.family").build(model, image_shape)
