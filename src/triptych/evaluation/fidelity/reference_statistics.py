"""Real images that generated ones are compared with: their statistics, on disk as safetensors and JSON.

| file | what it holds |
| --- | --- |
| `statistics.safetensors` | `features` (n, f), `classes` (n, c); in float64 `mean` (f,), `covariance`, `root` (f, f) |
| `manifest.json` | what they are a function of, its hash as `key`, and what real validation images score |
| `classifier/` | the classifier that named the classes, so that who has the statistics has their judge |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.hashing import sha256_of_file, sha256_of_json
from triptych.core.json_files import write_json
from triptych.core.json_schemas import ReferenceManifest, read_document
from triptych.evaluation.fidelity.extractors import CLASSES, FEATURES, Features, Judge, Kind
from triptych.evaluation.fidelity.frechet import Gaussian, square_root
from triptych.training.weights import load_tensors, save_tensors

STATISTICS, CLASSIFIER = "statistics.safetensors", "classifier"


@dataclass(frozen=True)
class Origin:
    """All that reference statistics are a function of."""

    dataset: str
    split: str
    images: int
    image_shape: list[int]
    data_sha256: str
    kind: Kind
    extractor: str
    """As it stands beside each number."""
    weights_sha256: str
    classifier: str
    """Who named the classes, likewise."""
    classifier_sha256: str

    @property
    def key(self) -> str:
        """Its SHA-256: other data, another split or other weights are another key."""
        return sha256_of_json(asdict(self))


@dataclass(frozen=True)
class Reference:
    """Statistics of real images, and where they come from."""

    features: Tensor
    classes: Tensor
    gaussian: Gaussian
    root: Tensor
    origin: Origin
    validation: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What real validation images score, with the protocol, by measure: what a perfect model would reach."""

    @classmethod
    def of(cls, examined: Features, origin: Origin) -> Reference:
        """From what a judge made of the real images."""
        gaussian = Gaussian.fit(examined[FEATURES])
        root = square_root(gaussian.covariance)
        return cls(examined[FEATURES], examined[CLASSES], gaussian, root, origin)

    @property
    def split(self) -> str:
        """As it stands beside each number, such as `mnist/test`."""
        return f"{self.origin.dataset}/{self.origin.split}"

    def save(self, folder: Path) -> None:
        """Write statistics and manifest into a folder."""
        tensors = {"features": self.features, "classes": self.classes, "root": self.root, **vars(self.gaussian)}
        save_tensors(folder / STATISTICS, tensors)
        manifest = {
            **asdict(self.origin),
            "key": self.origin.key,
            "real_validation_images": self.validation,
            "statistics_sha256": sha256_of_file(folder / STATISTICS),
        }
        write_json(folder / MANIFEST, manifest)

    @classmethod
    def load(cls, folder: Path) -> Reference:
        """Read what the reference stage wrote. Raises TriptychError if it is missing or damaged."""
        manifest = read_document(folder / MANIFEST, ReferenceManifest)
        if sha256_of_file(folder / STATISTICS) != manifest["statistics_sha256"]:
            raise TriptychError(f"{folder / STATISTICS} is damaged: delete {folder} and run its stage again")
        tensors = load_tensors(folder / STATISTICS)
        gaussian = Gaussian(tensors.pop("mean"), tensors.pop("covariance"))
        origin = Origin(**{name: manifest[name] for name in Origin.__dataclass_fields__})
        return cls(**tensors, gaussian=gaussian, origin=origin, validation=manifest["real_validation_images"])

    def refuse_other_images(self, shape: Sequence[int], key: str) -> None:
        """Raises TriptychError, with the settings' `key`, unless generated images have the shape of the real ones."""
        if list(shape) != self.origin.image_shape:
            raise TriptychError(
                f"{key}: images of shape {list(shape)} cannot be compared with those of {self.split}, which are "
                f"{self.origin.image_shape}: choose another entry of references"
            )

    def refuse_other_weights(self, judge: Judge, folder: Path) -> None:
        """Raises TriptychError unless the judge has the weights that these statistics, in `folder`, were made with."""
        origin = self.origin
        made = ((judge.extractor, origin.weights_sha256), (judge.classifier, origin.classifier_sha256))
        for extractor, wanted in made:
            if extractor.weights_sha256 != wanted:
                raise TriptychError(
                    f"{folder} was made with other weights (sha256 {wanted[:8]}) than those at hand of "
                    f"{extractor.name} (sha256 {extractor.weights_sha256[:8]}): "
                    f"run `dvc repro -f -s reference@{folder.name}`"
                )
