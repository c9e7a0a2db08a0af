"""FID, KID and IS by torch-fidelity, on the features of a classifier of our own.

Inception knows photographs, not digits, and has to be downloaded; a classifier trained on the reference data has
neither fault. Its numbers are named `*_classifier`, and stand beside the protocol that they were measured under: they
compare models judged by the same classifier and sample count, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.utils import get_featuresdict_from_dataset

from triptych.errors import TriptychError

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.config import Fidelity
    from triptych.models.classifier.network import Classifier

BATCH = 500
PARTS = 10  # of the samples, for the spread of IS, as Salimans et al. did
FEATURES, LOGITS = "features", "logits"
CENSUS = 1000  # samples, at most, whose classes are counted


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

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        return torch.zeros(1, 28, 28, dtype=torch.uint8)

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:
        """Features (n, f) and logits (n, 10) of uint8 images (n, 28, 28)."""
        features = self.classifier.features(input)
        return features, self.classifier.head(features)


class ByteImages(Dataset):
    """uint8 images (n, 28, 28) as torch-fidelity reads a data set."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def extract(classifier: Classifier, images: Tensor) -> dict[str, Tensor]:
    """Features (n, f) and logits (n, 10), on the CPU, of uint8 images (n, 28, 28)."""
    device = next(classifier.parameters()).device
    if images.dtype != torch.uint8:
        raise TypeError(f"fidelity is measured on uint8 images, not on {images.dtype}")
    found = get_featuresdict_from_dataset(
        ByteImages(images),
        ClassifierExtractor(classifier),
        BATCH,
        device.type == "cuda",
        save_cpu_ram=True,
        verbose=False,
    )
    return {name: values.contiguous() for name, values in found.items()}


@dataclass(frozen=True)
class Reference:
    """Real images that generated ones are compared with, as features, and what to say about them."""

    features: dict[str, Tensor]
    split: str
    extractor: str
    real: Mapping[str, float] = field(default_factory=dict)
    """What real validation images score, by measure: what a perfect model would reach."""

    @classmethod
    def load(cls, folder: Path) -> Reference:
        """Read what the classifier stage wrote. Raises TriptychError if it is missing or damaged."""
        from triptych.files import read_json
        from triptych.training.weights import load_tensors

        manifest = read_json(folder / "manifest.json")
        features = load_tensors(folder / "reference.safetensors")
        return cls(features, manifest["reference"], manifest["extractor"], manifest["real_validation_images"])


def measure(generated: dict[str, Tensor], reference: Reference, protocol: Fidelity) -> dict[str, dict[str, object]]:
    """`fid_classifier`, `kid_classifier`, `is_classifier`, `recognised` and `classes`, each with its protocol.

    FID: squared Frechet distance of Gaussians fitted to the features (Heusel et al. 2017). KID: unbiased squared MMD
    with a cubic kernel, mean and standard deviation over subsets (Binkowski et al. 2018). IS: exp E KL(p(y|x) ||
    p(y)), mean and standard deviation over 10 parts (Salimans et al. 2016), of the generated images alone.
    `recognised`: the share of images that the classifier gives to one class with the protocol's confidence or more.
    `classes`: how many classes appear among the first samples, and the entropy of their shares in nats: both fall
    where a generator collapses.
    """
    ours, theirs = generated[FEATURES].double(), reference.features[FEATURES].double()
    needed = protocol.kid_subset_size
    if min(len(ours), len(theirs)) < needed:
        raise TriptychError(
            f"fidelity.kid_subset_size is {needed}, but there are {len(ours)} samples and {len(theirs)} real images"
        )
    fid = fid_statistics_to_metric(fid_features_to_statistics(ours), fid_features_to_statistics(theirs), verbose=False)
    kid = kid_features_to_metric(
        ours, theirs, kid_subsets=protocol.kid_subsets, kid_subset_size=protocol.kid_subset_size, verbose=False
    )
    inception = isc_features_to_metric(generated[LOGITS], splits=PARTS)
    comparison = {
        "samples": len(ours),
        "reference": reference.split,
        "reference_images": len(theirs),
        "extractor": reference.extractor,
    }
    subsets = {"subsets": protocol.kid_subsets, "subset_size": protocol.kid_subset_size}
    found = {
        "fid_classifier": {"value": fid[KEY_METRIC_FID], **comparison},
        "kid_classifier": {
            "value": kid[KEY_METRIC_KID_MEAN], "standard_deviation": kid[KEY_METRIC_KID_STD], **subsets, **comparison
        },
        "is_classifier": {
            "value": inception[KEY_METRIC_ISC_MEAN], "standard_deviation": inception[KEY_METRIC_ISC_STD],
            "samples": len(ours), "parts": PARTS, "reference": "none", "extractor": reference.extractor,
        },
    }  # fmt: skip
    if reference.real:
        found = {name: {**row, "real_images": reference.real[name]} for name, row in found.items()}
    sure = {
        "value": recognised(generated[LOGITS], protocol.confidence),
        "confidence": protocol.confidence,
        **comparison,
        "real_images": recognised(reference.features[LOGITS], protocol.confidence),
    }
    counted, real = census(generated[LOGITS][:CENSUS]), census(reference.features[LOGITS])
    classes = {**counted, **comparison, "samples": min(CENSUS, len(ours)), "real_images": real["entropy"]}
    return {**found, "recognised": sure, "classes": classes}


def census(logits: Tensor) -> dict[str, float]:
    """How many classes are the likeliest one of some image, by logits (n, classes), and the entropy of their shares."""
    shares = logits.argmax(1).bincount(minlength=logits.shape[1]).double() / len(logits)
    return {"value": int((shares > 0).sum()), "entropy": float(torch.special.entr(shares).sum())}


def recognised(logits: Tensor, confidence: float) -> float:
    """The share of images, by logits (n, classes), whose likeliest class has at least that probability."""
    return float((logits.double().softmax(1).amax(1) >= confidence).double().mean())
