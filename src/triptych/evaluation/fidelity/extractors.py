"""What turns images into features: Inception as torch-fidelity has it, or a classifier of our own.

Inception knows photographs, not digits, and has to be downloaded; a classifier trained on the reference data has
neither fault, but its numbers compare models judged by the same classifier, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from triptych.core.file_names import MANIFEST, WEIGHTS
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import read_json
from triptych.core.progress import Progress
from triptych.evaluation.fidelity.inception import NAME, find_weights, load_inception
from triptych.models.classifier.network import load_classifier

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.models.classifier.network import Classifier

Kind = Literal["classifier", "inception"]
Features = dict[str, Tensor]
FEATURES, LOGITS, CLASSES = "features", "logits", "classes"
BATCH = {"classifier": 500, "inception": 64}  # images at once


class ClassifierExtractor(FeatureExtractorBase):
    """A classifier as torch-fidelity wants an extractor: hidden activations for FID and KID, logits for IS."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__("triptych-classifier", [FEATURES, LOGITS])
        self.classifier = classifier.eval().requires_grad_(False)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return FEATURES, LOGITS

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return {"isc": LOGITS}.get(metric, FEATURES)

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:
        """Features (n, f) and logits (n, c) of uint8 images."""
        features = self.classifier.features(input)
        return features, self.classifier.head(features)


@contextmanager
def _whole_float32() -> Iterator[None]:
    """Convolutions without TF32, whose ten bits would make a GPU's features other ones than a CPU's."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@dataclass(frozen=True)
class Extractor:
    """A network with two outputs, features and logits, and what to say about it."""

    network: FeatureExtractorBase
    kind: Kind
    name: str
    """As it stands beside each number."""
    weights_sha256: str

    @torch.no_grad()
    def extract(self, images: Tensor) -> Features:
        """Features (n, f) and logits (n, c), on the CPU, of uint8 images (n, h, w) or (n, 3, h, w).

        Inception sees one channel three times. Raises TypeError for other images than uint8: rounding and range are
        for the caller to see to, where it can still be told what is wrong.
        """
        if images.dtype != torch.uint8:
            raise TypeError(f"fidelity is measured on uint8 images, not on {images.dtype}")
        if self.kind == "inception" and images.ndim == 3:
            images = images[:, None].expand(-1, 3, -1, -1)
        device = next(self.network.parameters()).device
        found, seen, progress = [], 0, Progress(self.name, len(images), 0)
        with _whole_float32():
            for batch in images.split(BATCH[self.kind]):
                found.append([values.cpu() for values in self.network(batch.to(device))])
                seen += len(batch)
                if progress.due():
                    progress.report(seen, "features")
        progress.finish()
        features, logits = (torch.cat(parts) for parts in zip(*found, strict=True))
        return {FEATURES: features, LOGITS: logits}


def open_classifier(folder: Path, device: torch.device) -> Extractor:
    """The trained classifier of a folder as an extractor. Raises TriptychError if it is missing or damaged."""
    network = ClassifierExtractor(load_classifier(folder, device))
    name = read_json(folder / MANIFEST)["extractor"]
    return Extractor(network, "classifier", name, sha256_of_file(folder / WEIGHTS))


def open_inception(reference: str, device: torch.device) -> Extractor:
    """Inception for the entry `reference` of `references`. Raises TriptychError if its weights cannot be had."""
    weights = find_weights(reference)
    digest = sha256_of_file(weights)
    return Extractor(load_inception(weights, device), "inception", f"{NAME} (weights {digest[:8]})", digest)


@dataclass(frozen=True)
class Judge:
    """An extractor, and the classifier of the reference's data set, which names classes whatever the extractor is."""

    extractor: Extractor
    classifier: Extractor
    """The extractor itself where that is the classifier."""

    @classmethod
    def open(cls, kind: Kind, reference: str, folder: Path, device: torch.device) -> Judge:
        """For the entry `reference` of `references`, with the classifier of a folder.

        Raises TriptychError if weights are missing or damaged.
        """
        classifier = open_classifier(folder, device)
        return cls(classifier if kind == "classifier" else open_inception(reference, device), classifier)

    def examine(self, images: Tensor) -> Features:
        """What the extractor makes of uint8 images, and under `classes` the classifier's logits (n, c)."""
        found = self.extractor.extract(images)
        same = self.extractor is self.classifier
        return {**found, CLASSES: found[LOGITS] if same else self.classifier.extract(images)[LOGITS]}

    def label(self, images: Tensor) -> Tensor:
        """The class (n,) that the classifier names for each uint8 image, on its own device."""
        return self.classifier.network.classifier.label(images)
