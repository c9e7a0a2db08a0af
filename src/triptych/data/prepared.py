"""The prepared data set on disk: what the prepare stage writes and every later stage reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.hashing import sha256_of_file
from triptych.core.manifests import PreparedManifest, read_document

AGAIN = "run the prepare stage of this data set again"


@dataclass(frozen=True)
class PreparedData:
    """A folder of `.npy` files beside a manifest.

    | file | what it holds |
    | --- | --- |
    | `x_<split>.npy` | uint8 (n, 28, 28): 8-bit pixels, or 0 and 1 where the data set is binarised |
    | `y_<split>.npy` | uint8 (n,), where labels are known |
    | `continuous_<split>.npy` | float32 (n, 28, 28) in [0, 1): dequantised once, for validation and test |
    """

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> PreparedData:
        """Raises TriptychError if the folder was never prepared."""
        return cls(folder, read_document(folder / MANIFEST, PreparedManifest))

    def _load(self, name: str) -> np.ndarray:
        path = self.folder / f"{name}.npy"
        expected = self.manifest["files"].get(path.name)
        if expected is None:
            raise TriptychError(f"{path} is missing: {AGAIN}")
        if sha256_of_file(path) != expected:
            raise TriptychError(f"{path} is damaged: {AGAIN}")
        return np.load(path, allow_pickle=False)

    def images(self, split: str) -> np.ndarray:
        """uint8 (n, 28, 28)."""
        return self._load(f"x_{split}")

    def has_labels(self, split: str) -> bool:
        return f"y_{split}.npy" in self.manifest["files"]

    def labels(self, split: str) -> np.ndarray:
        """uint8 (n,). Raises TriptychError where the data set has none."""
        return self._load(f"y_{split}")

    def continuous(self, split: str) -> np.ndarray:
        """float32 (n, 28, 28) in [0, 1): the one dequantised copy that every model is judged on."""
        return self._load(f"continuous_{split}")

    @property
    def name(self) -> str:
        """The data set's name in `params.yaml`."""
        return self.manifest["dataset"]

    @property
    def checksum(self) -> str:
        """SHA-256 over all arrays."""
        return self.manifest["sha256"]

    @property
    def redraws(self) -> bool:
        """Whether training binarises afresh at every visit of an image."""
        return self.manifest["binarization"] == "stochastic"

    def size(self, split: str) -> int:
        """The number of images in a split."""
        return self.manifest["splits"][split]
