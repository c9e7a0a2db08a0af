"""Feature extractors for the fidelity measures: Inception as in torch-fidelity, or a classifier of this project.

Inception was trained on photographs, not on digits, and must be downloaded. The classifiers that ship with the package
have neither drawback, but their numbers can only be compared with numbers of the same classifier. Importing this module
registers them with torch-fidelity, as `triptych-mnist-v1` and `triptych-cifar10-v1`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import register_feature_extractor

from triptych.core.file_names import MANIFEST, WEIGHTS
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import read_json
from triptych.core.progress import Progress
from triptych.evaluation.fidelity.inception import NAME, find_weights, load_inception
from triptych.models.classifier.network import ClassifierNetwork, load_classifier
from triptych.models.classifier.settings import SHIPPED
from triptych.models.classifier.shipped import shipped_folder

Kind = Literal["classifier", "inception"]
Features = dict[str, Tensor]
FEATURES, LOGITS, CLASS_LOGITS, CLASSIFIER_FEATURES = "features", "logits", "classes", "classifier_features"
OUTPUTS = (FEATURES, LOGITS)
PREFIX = "triptych-"  # of the shipped classifiers in torch-fidelity
BATCH = {"classifier": 100, "inception": 64}  # images per forward pass: larger parts leave a CPU's cache


@dataclass(frozen=True)
class Extractors:
    """The feature extractor, and the classifier of the reference's data set, which labels images.

    If the feature extractor is the classifier, both are the same object.
    """

    features: Extractor
    classifier: Extractor

    @classmethod
    def open(cls, kind: Kind, reference: str, folder: Path, side: int, device: torch.device) -> Extractors:
        """Return the extractors for the reference of this name, with the classifier in a folder.

        The images have `side` pixels per side. Raises TriptychError if weights are missing or damaged.
        """
        classifier = open_classifier(folder, side, device)
        return cls(classifier if kind == "classifier" else open_inception(reference, device), classifier)

    def extract(self, images: Tensor) -> Features:
        """Return features and logits of uint8 images (n, ...).

        The classifier's are included: logits (n, c) as `classes`, and features as `classifier_features`.
        """
        found = self.features.extract(images)
        named = found if self.features is self.classifier else self.classifier.extract(images)
        return {**found, CLASS_LOGITS: named[LOGITS], CLASSIFIER_FEATURES: named[FEATURES]}

    def label(self, images: Tensor) -> Tensor:
        """Return the class (n,) that the classifier assigns to each uint8 image, on its device."""
        return self.classifier.network.classifier.label(images)


def open_classifier(folder: Path, side: int, device: torch.device) -> Extractor:
    """Return the trained classifier of a folder, for images with `side` pixels per side.

    Its name says if it resizes them. Raises TriptychError if it is missing or damaged.
    """
    network = ClassifierExtractor(load_classifier(folder, device))
    name, own = read_json(folder / MANIFEST)["extractor"], network.classifier.side
    name += f", on images resized from {side} by {side} to {own} by {own}" if side != own else ""
    return Extractor(network, "classifier", name, sha256_of_file(folder / WEIGHTS))


def open_inception(reference: str, device: torch.device) -> Extractor:
    """Return Inception for the entry `reference` of `references`. Raises TriptychError without its weights."""
    weights = find_weights(reference)
    digest = sha256_of_file(weights)
    return Extractor(load_inception(weights, device), "inception", f"{NAME} (weights {digest[:8]})", digest)


@dataclass(frozen=True)
class Extractor:
    """A network with two outputs, features and logits."""

    network: FeatureExtractorBase
    kind: Kind
    name: str
    """The name that is written beside each number."""
    weights_sha256: str

    @torch.no_grad()
    def extract(self, images: Tensor) -> Features:
        """Return features (n, f) and logits (n, c), on the CPU, of uint8 images (n, h, w) or (n, 3, h, w).

        Inception receives grey images in three equal channels. Raises TypeError if the images are not uint8: the caller
        must round them and check their range.
        """
        if images.dtype != torch.uint8:
            raise TypeError(f"fidelity is measured on uint8 images, not on {images.dtype}")
        if self.kind == "inception" and images.ndim == 3:
            images = images[:, None].expand(-1, 3, -1, -1)
        device = next(self.network.parameters()).device
        found, seen, progress = [], 0, Progress(self.name, len(images), 0)
        with _without_tf32():
            for batch in images.split(BATCH[self.kind]):
                found.append([values.cpu() for values in self.network(batch.to(device))])
                seen += len(batch)
                if progress.due():
                    progress.report(seen, "features")
        progress.finish()
        features, logits = (torch.cat(parts) for parts in zip(*found, strict=True))
        return {FEATURES: features, LOGITS: logits}


class ClassifierExtractor(FeatureExtractorBase):
    """A classifier with torch-fidelity's interface: hidden activations for FID and KID, logits for IS."""

    def __init__(
        self, classifier: ClassifierNetwork, name: str = "classifier", features: Sequence[str] = OUTPUTS
    ) -> None:
        super().__init__(name, list(features))
        self.classifier = classifier.eval().requires_grad_(False)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return OUTPUTS

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return {"isc": LOGITS}.get(metric, FEATURES)

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:
        """Return the requested ones of features (n, f) and logits (n, c) of uint8 images.

        Grey images may also have shape (n, 1, h, w), or (n, 3, h, w) with three equal channels, as torch-fidelity
        passes them. Raises ValueError if their channels differ.
        """
        if self.classifier.grey and input.ndim == 4:
            if (input != input[:, :1]).any():
                raise ValueError(f"{self.name} is for grey images, but the channels of these images differ")
            input = input[:, 0]
        features = self.classifier.features(input)
        found = {FEATURES: features, LOGITS: self.classifier.head(features)}
        return tuple(found[name] for name in self.features_list)


class ShippedExtractor(ClassifierExtractor):
    """A shipped classifier under its name in torch-fidelity, such as `triptych-mnist-v1`."""

    def __init__(self, name: str, features: Sequence[str], **_: object) -> None:
        folder = shipped_folder(name.removeprefix(PREFIX))
        super().__init__(load_classifier(folder, torch.device("cpu")), name, features)
        self.image_shape = read_json(folder / MANIFEST)["data"]["image_shape"]

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:
        """Return the requested outputs in float64, since torch-fidelity computes some measures in their type.

        Raises ValueError for images of another type or size.
        """
        if input.dtype != torch.uint8 or list(input.shape[-2:]) != self.image_shape[-2:]:
            found = f"{input.dtype} images of shape {list(input.shape[1:])}"
            raise ValueError(f"{self.name} is for uint8 images of shape {self.image_shape}, not for {found}")
        return tuple(values.double() for values in super().forward(input))


for shipped in SHIPPED:
    register_feature_extractor(PREFIX + shipped, ShippedExtractor)


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Compute convolutions without TF32, whose ten-bit mantissa would change a GPU's features."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
