"""Trained models from disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.errors import TriptychError
from triptych.files import read_json, sha256_of_file
from triptych.models.registry import build, load_settings_model
from triptych.training.reproducible import seeded
from triptych.training.weights import load_into

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from triptych.models.base import Family


def load_family(folder: Path, device: torch.device) -> Family:
    """The trained family of a model folder, built from the settings in its manifest, on the device.

    The networks are in evaluation mode. Raises TriptychError if the folder is missing or damaged.
    """
    manifest = read_json(folder / "manifest.json")
    weights = folder / "weights.safetensors"
    if not weights.exists() or sha256_of_file(weights) != manifest["weights_sha256"]:
        raise TriptychError(f"{weights} is missing or damaged: run `dvc checkout {folder}` or train again")
    name = manifest["settings"]["family"]
    model = load_settings_model(name).model_validate(manifest["settings"]["model"])
    with seeded(0, "overwritten by the weights"):
        family = build(name, model, tuple(manifest["data"]["image_shape"]))
    load_into(family.networks, weights, device)
    family.networks.eval()
    return family
