"""The reference statistics of the real images that samples are compared with, as safetensors and JSON.

| file | content |
| --- | --- |
| `statistics.safetensors` | `features` (n, f), `classes` (n, c); in float64 `mean` (f,), `covariance`, `root` (f, f) |
| `manifest.json` | the origin of the statistics, its hash as `key`, and the scores of real validation images |
| `classifier/` | the classifier, so that the folder is all that an evaluation needs |
| `splits.safetensors` | `train` and `test` (n, f): the classifier's features of these splits, to look for copies |
| `published/` | the same two files of all images of train and valid, if samples are also compared with these |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.hashing import require_sha256, sha256_of_file, sha256_of_json
from triptych.core.json_files import write_json
from triptych.core.json_schemas import Count, JsonSchema, JsonShape, read_document
from triptych.evaluation.fidelity.extractors import CLASS_LOGITS, FEATURES, Extractors, Features, Kind
from triptych.evaluation.fidelity.frechet import Gaussian, square_root
from triptych.training.weights import load_tensors, save_tensors

STATISTICS, CLASSIFIER, PUBLISHED = "statistics.safetensors", "classifier", "published"
SPLIT_FEATURES = "splits.safetensors"


class Origin(JsonSchema):
    """Everything that reference statistics depend on."""

    dataset: str
    split: str
    images: Count
    image_shape: JsonShape
    data_sha256: str
    kind: Kind
    extractor: str
    """The name of the extractor that is written beside each number."""
    weights_sha256: str
    classifier: str
    """The name of the classifier that counts classes."""
    classifier_sha256: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of the origin: other data, another split or other weights give another key."""
        return sha256_of_json(self.model_dump())


class ReferenceManifest(Origin):
    """The manifest of reference statistics."""

    key: str
    source: str
    real_validation_images: dict[str, dict[str, Any]]
    published_samples: Count
    names_classes: bool
    statistics_sha256: str


@dataclass(frozen=True)
class ReferenceStatistics:
    """Statistics of real images, and their origin."""

    features: Tensor
    classes: Tensor
    gaussian: Gaussian
    root: Tensor
    origin: Origin
    validation: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The scores of real validation images by measure, with protocol: the scores that a perfect model would have."""
    source: str = ""
    """Where the images come from, in words."""
    published_samples: int = 0
    """Number of samples that are also compared with the statistics in the folder `published`; 0 without these."""
    names_classes: bool = True
    """Whether the classes of the images are those of the classifier."""

    @classmethod
    def of(cls, extracted: Features, origin: Origin) -> Self:
        """Return the statistics of real images from the result of `Extractors.extract`."""
        gaussian = Gaussian.fit(extracted[FEATURES])
        root = square_root(gaussian.covariance)
        return cls(extracted[FEATURES], extracted[CLASS_LOGITS], gaussian, root, origin)

    @property
    def split(self) -> str:
        """The data set and split that are written beside each number, such as `mnist/test`."""
        return f"{self.origin.dataset}/{self.origin.split}"

    def not_defined(self, *, labelled: bool) -> dict[str, str]:
        """Return the measures of samples that these real images do not define, each with the reason."""
        foreign = f"{self.origin.classifier} knows other classes than those of {self.origin.dataset}"
        reason = foreign if labelled else f"no labels: {foreign}"
        return {} if self.names_classes else dict.fromkeys(("recognised", "classes"), reason)

    def save(self, folder: Path) -> None:
        """Write statistics and manifest to a folder."""
        tensors = {"features": self.features, "classes": self.classes, "root": self.root, **vars(self.gaussian)}
        save_tensors(folder / STATISTICS, tensors)
        manifest = {
            **self.origin.model_dump(),
            "key": self.origin.checksum,
            "source": self.source,
            "published_samples": self.published_samples,
            "names_classes": self.names_classes,
            "real_validation_images": self.validation,
            "statistics_sha256": sha256_of_file(folder / STATISTICS),
        }
        write_json(folder / MANIFEST, manifest)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a folder that the stage `reference` wrote. Raises TriptychError if it is missing or damaged."""
        manifest = read_document(folder / MANIFEST, ReferenceManifest)
        advice = f"delete {folder} and run its stage again"
        require_sha256(folder / STATISTICS, manifest["statistics_sha256"], advice)
        tensors = load_tensors(folder / STATISTICS)
        gaussian = Gaussian(tensors.pop("mean"), tensors.pop("covariance"))
        origin = Origin(**{name: manifest[name] for name in Origin.model_fields})
        facts = {key: manifest[key] for key in ("source", "published_samples", "names_classes")}
        return cls(**tensors, gaussian=gaussian, origin=origin, validation=manifest["real_validation_images"], **facts)

    def require_shape(self, shape: Sequence[int], key: str) -> None:
        """Raise TriptychError, which names the settings' `key`, unless the shape equals that of the real images."""
        if list(shape) != self.origin.image_shape:
            raise TriptychError(
                f"{key}: images of shape {list(shape)} cannot be compared with those of {self.split}, which are "
                f"{self.origin.image_shape}: choose another entry of references"
            )

    def require_weights(self, extractors: Extractors, folder: Path) -> None:
        """Raise TriptychError unless the extractors have the weights with which these statistics were computed.

        `folder` holds the statistics.
        """
        origin = self.origin
        pairs = ((extractors.features, origin.weights_sha256), (extractors.classifier, origin.classifier_sha256))
        for extractor, wanted in pairs:
            if extractor.weights_sha256 != wanted:
                raise TriptychError(
                    f"{folder} was made with other weights (sha256 {wanted[:8]}) than the present ones of "
                    f"{extractor.name} (sha256 {extractor.weights_sha256[:8]}): "
                    f"delete {folder} and run `triptych repro`"
                )
