"""The prepared data set in `data/prepared/<dataset>/`: the prepare stage writes it, every later stage reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import model_validator

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.hashing import require_sha256
from triptych.core.json_schemas import Count, JsonSchema, JsonShape, read_document

ADVICE = "run the prepare stage of this data set again"


class PreparedManifest(JsonSchema):
    """The manifest of a prepared data set."""

    dataset: str
    source: str
    image_shape: JsonShape
    splits: dict[str, Count]
    binarization: str
    files: dict[str, str]
    sha256: str

    @model_validator(mode="after")
    def _has_every_split(self) -> Self:
        for split in ("train", "valid", "test"):
            if split not in self.splits or f"x_{split}.npy" not in self.files:
                raise ValueError(f"it has no {split} images")
        return self


@dataclass(frozen=True)
class PreparedData:
    """A folder of `.npy` files with a manifest.

    | file | content |
    | --- | --- |
    | `x_<split>.npy` | uint8 (n, h, w) or (n, 3, h, w): 8-bit pixels, or 0 and 1 if the data set is binarised |
    | `y_<split>.npy` | uint8 (n,), if labels are known |
    | `continuous_<split>.npy` | float32 of the shape of the images, in [0, 1): dequantised once, for valid and test |
    """

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> PreparedData:
        """Open a prepared data set. Raises TriptychError if its manifest is missing or damaged."""
        return cls(folder, read_document(folder / MANIFEST, PreparedManifest))

    def images(self, split: str) -> np.ndarray:
        """Return the pixels of a split, uint8 (n, ...)."""
        return self._load(f"x_{split}")

    def has_labels(self, split: str) -> bool:
        """Return whether the labels of a split are known."""
        return f"y_{split}.npy" in self.manifest["files"]

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of a split, uint8 (n,). Raises TriptychError if the data set has none."""
        if not self.has_labels(split):
            raise TriptychError(f"the {split} images of {self.name} have no labels: add y_{split} to the source")
        return self._load(f"y_{split}")

    def continuous(self, split: str) -> np.ndarray:
        """Return the dequantised images of a split, float32 (n, ...) in [0, 1): those of the evaluation."""
        return self._load(f"continuous_{split}")

    def _load(self, name: str) -> np.ndarray:
        path = self.folder / f"{name}.npy"
        expected = self.manifest["files"].get(path.name)
        if expected is None:
            raise TriptychError(f"{path} is missing: {ADVICE}")
        require_sha256(path, expected, ADVICE)
        return np.load(path, allow_pickle=False)

    @property
    def name(self) -> str:
        """The name of the data set in `params.yaml`."""
        return self.manifest["dataset"]

    @property
    def checksum(self) -> str:
        """The SHA-256 over all arrays."""
        return self.manifest["sha256"]

    @property
    def binary(self) -> bool:
        """Whether models use pixels of 0 and 1, not of 0 to 255."""
        return self.manifest["binarization"] != "none"

    @property
    def redraws(self) -> bool:
        """Whether training draws the binary pixels anew each time that it visits an image."""
        return self.manifest["binarization"] == "stochastic"

    def size(self, split: str) -> int:
        """Return the number of images in a split."""
        return self.manifest["splits"][split]
