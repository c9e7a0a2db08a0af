"""The classifiers that ship with the package: with them, FID, KID and IS are comparable between machines.

Each has a folder `shipped/<name>` with weights, manifest and a card, `README.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triptych.core.file_names import MANIFEST, WEIGHTS
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import read_json, write_json
from triptych.training.weights import load_tensors, save_tensors

if TYPE_CHECKING:
    import torch

FOLDER = Path(__file__).parent / "shipped"
FACTS = ("settings", "runtime", "data")  # of the training, from its manifest


def shipped_folder(name: str) -> Path:
    """Return the folder of a shipped classifier, such as `mnist-v1`."""
    return FOLDER / name


def ship_classifier(trained: Path, name: str, dtype: torch.dtype) -> None:
    """Write weights, in `dtype`, and manifest of the next shipped classifier, from the folder of a trained one."""
    folder = shipped_folder(name)
    folder.mkdir(parents=True)
    tensors = load_tensors(trained / WEIGHTS)
    weights = {key: value.to(dtype) if value.is_floating_point() else value for key, value in tensors.items()}
    save_tensors(folder / WEIGHTS, weights)
    manifest = read_json(trained / MANIFEST)
    facts = {key: manifest[key] for key in FACTS}
    write_json(folder / MANIFEST, {"extractor": name, **facts, "weights_sha256": sha256_of_file(folder / WEIGHTS)})
