"""Load trained models from their folders."""

from pathlib import Path

import torch
from pydantic import ValidationError

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST, WEIGHTS
from triptych.core.hashing import require_sha256
from triptych.core.json_files import Document
from triptych.core.json_schemas import read_document
from triptych.models.common.manifest import ModelManifest
from triptych.models.common.registry import FAMILIES, build, load_settings_model
from triptych.training.family import Family
from triptych.training.reproducible import seeded
from triptych.training.weights import load_into


def verified_manifest(folder: Path) -> Document:
    """Return the manifest of a model folder after all files in it have been verified.

    Raises TriptychError, which names the file, if a file is missing or differs from the one that training wrote.
    """
    manifest = read_document(folder / MANIFEST, ModelManifest)
    for name, expected in manifest["files"].items():
        require_sha256(folder / name, expected, _advice(folder))
    return manifest


def load_family(folder: Path, device: torch.device) -> Family:
    """Return the trained family of a model folder, on the device, with its networks in evaluation mode.

    The networks are built from the settings in the manifest. Raises TriptychError if the folder is missing or damaged.
    """
    path = folder / MANIFEST
    manifest = read_document(path, ModelManifest)
    require_sha256(folder / WEIGHTS, manifest["weights_sha256"], _advice(folder))
    name = manifest["settings"]["family"]
    if name not in FAMILIES:
        raise TriptychError(f"{path} is damaged: settings.family is {name}, which is no family; train the model again")
    try:
        model = load_settings_model(name).model_validate(manifest["settings"]["model"])
    except ValidationError:
        raise TriptychError(f"{path} is damaged: settings.model is not valid; train the model again") from None
    with seeded(0, "overwritten by the weights"):
        family = build(name, model, tuple(manifest["data"]["image_shape"]))
    load_into(family.networks, folder / WEIGHTS, device)
    family.networks.to(memory_format=torch.channels_last)  # convolutions take half the time on a CPU
    family.networks.eval()
    return family


def _advice(folder: Path) -> str:
    return f"run `triptych repro`, which restores {folder} from DVC's cache, or trains the model again"
