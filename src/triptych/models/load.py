"""Trained models from disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST, WEIGHTS
from triptych.core.hashing import sha256_of_file
from triptych.core.json_schemas import ModelManifest, read_document
from triptych.models.registry import FAMILIES, build, load_settings_model
from triptych.training.reproducible import seeded
from triptych.training.weights import load_into

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from triptych.core.json_files import Document
    from triptych.training.family import Family


def open_model(folder: Path) -> Document:
    """The manifest of a model folder, each of whose files is what training wrote, or TriptychError names it."""
    manifest = read_document(folder / MANIFEST, ModelManifest)
    for name, expected in manifest["files"].items():
        _refuse_damage(folder / name, expected)
    return manifest


def load_family(folder: Path, device: torch.device) -> Family:
    """The trained family of a model folder, built from the settings in its manifest, on the device.

    The networks are in evaluation mode. Raises TriptychError if the folder is missing or damaged.
    """
    manifest = read_document(folder / MANIFEST, ModelManifest)
    _refuse_damage(folder / WEIGHTS, manifest["weights_sha256"])
    name = manifest["settings"]["family"]
    if name not in FAMILIES:
        raise TriptychError(f"{folder / MANIFEST} is damaged: there is no family {name}; train again")
    try:
        model = load_settings_model(name).model_validate(manifest["settings"]["model"])
    except ValidationError:
        raise TriptychError(f"{folder / MANIFEST} is damaged: its settings.model is no model; train again") from None
    with seeded(0, "overwritten by the weights"):
        family = build(name, model, tuple(manifest["data"]["image_shape"]))
    load_into(family.networks, folder / WEIGHTS, device)
    family.networks.eval()
    return family


def _refuse_damage(path: Path, expected: str) -> None:
    if not path.exists() or sha256_of_file(path) != expected:
        raise TriptychError(f"{path} is missing or damaged: run `dvc checkout {path.parent}` or train again")
