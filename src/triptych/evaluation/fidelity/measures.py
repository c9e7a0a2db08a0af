"""FID, KID, IS, precision and recall of generated images, each beside the protocol that it was measured under."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from triptych.core.errors import TriptychError
from triptych.evaluation.fidelity.extractors import CLASSES, FEATURES, LOGITS, Features
from triptych.evaluation.fidelity.frechet import Gaussian, squared_distance
from triptych.evaluation.fidelity.metric_names import SUFFIX

if TYPE_CHECKING:
    from triptych.evaluation.fidelity.reference_statistics import Reference
    from triptych.evaluation.settings import Fidelity

PARTS = 10  # of the samples, for the spread of IS, as Salimans et al. did
NEIGHBOURS = 3  # the radius of a ball is the distance to that nearest neighbour, as Kynkaanniemi et al. chose
CHUNK = 1000  # images whose distances to all others are in memory at once
CENSUS = 1000  # samples, at most, whose classes are counted

Rows = dict[str, dict[str, Any]]


def scores(generated: Features, reference: Reference, protocol: Fidelity) -> Rows:
    """FID, KID and IS of what an extractor made of generated images: `fid`, or `fid_classifier`, and so on.

    FID: squared Frechet distance of Gaussians fitted to the features (Heusel et al. 2017). KID: unbiased squared MMD
    with a cubic kernel, mean and standard deviation over subsets (Binkowski et al. 2018). IS: exp E KL(p(y|x) ||
    p(y)), mean and standard deviation over 10 parts (Salimans et al. 2016), of the generated images alone. All in
    float64, so that the mean of ten thousand features keeps its digits. Raises TriptychError if the images are too few.
    """
    ours, theirs = generated[FEATURES].double(), reference.features.double()
    needed = protocol.kid_subset_size
    if min(len(ours), len(theirs)) < needed:
        raise TriptychError(
            f"fidelity.kid_subset_size is {needed}, but there are {len(ours)} samples and {len(theirs)} real images"
        )
    fid = squared_distance(Gaussian.fit(ours), reference.gaussian, reference.root)
    kid = kid_features_to_metric(
        ours, theirs, kid_subsets=protocol.kid_subsets, kid_subset_size=protocol.kid_subset_size, verbose=False
    )
    inception = isc_features_to_metric(generated[LOGITS], splits=PARTS)
    compared = comparison(len(ours), reference)
    found = {
        "fid": {"value": fid, **compared},
        "kid": {
            "value": kid[KEY_METRIC_KID_MEAN], "standard_deviation": kid[KEY_METRIC_KID_STD],
            "subsets": protocol.kid_subsets, "subset_size": protocol.kid_subset_size, **compared,
        },
        "is": {
            "value": inception[KEY_METRIC_ISC_MEAN], "standard_deviation": inception[KEY_METRIC_ISC_STD],
            "samples": len(ours), "parts": PARTS, "reference": "none", "extractor": reference.origin.extractor,
        },
    }  # fmt: skip
    return _named(found, reference)


def coverage(generated: Features, reference: Reference) -> Rows:
    """Precision and recall (Kynkaanniemi et al. 2019): who lies within whose balls, among the features.

    Precision is the share of generated images within a ball around a real one, its radius the distance to the third
    nearest real one; recall the same with the roles exchanged. Both depend on how many images there are on either side.
    """
    ours, theirs = generated[FEATURES].double(), reference.features.double()
    if min(len(ours), len(theirs)) <= NEIGHBOURS:
        raise TriptychError(f"precision and recall need more than {NEIGHBOURS} images on either side")
    found = prc_features_to_metric(
        ours, theirs, prc_neighborhood=NEIGHBOURS, prc_batch_size=CHUNK, save_cpu_ram=True, verbose=False
    )
    protocol = {"neighbours": NEIGHBOURS, **comparison(len(ours), reference)}
    values = {"precision": found[KEY_METRIC_PRECISION], "recall": found[KEY_METRIC_RECALL]}
    return _named({name: {"value": value, **protocol} for name, value in values.items()}, reference)


def measure(examined: Features, reference: Reference, protocol: Fidelity) -> Rows:
    """All that is said of a final model's samples: `scores`, `coverage`, and by the classifier `recognised`, `classes`.

    `recognised`: the share of images that the classifier gives to one class with the protocol's confidence or more.
    `classes`: how many classes appear among the first samples, and the entropy of their shares in nats: both fall
    where a generator collapses.
    """
    logits, count = examined[CLASSES], len(examined[CLASSES])
    compared = comparison(count, reference)
    sure = {
        "value": recognised(logits, protocol.confidence),
        "confidence": protocol.confidence,
        **compared,
        "real_images": recognised(reference.classes, protocol.confidence),
    }
    counted, real = census(logits[:CENSUS]), census(reference.classes)
    classes = {**counted, **compared, "samples": min(CENSUS, count), "real_images": real["entropy"]}
    named = {"extractor": reference.origin.classifier}
    return {
        **scores(examined, reference, protocol),
        **coverage(examined, reference),
        "recognised": sure | named,
        "classes": classes | named,
    }


def comparison(samples: int, reference: Reference) -> dict[str, object]:
    """The protocol that all comparisons with real images share."""
    return {
        "samples": samples,
        "reference": reference.split,
        "reference_images": len(reference.features),
        "extractor": reference.origin.extractor,
    }


def _named(found: Rows, reference: Reference) -> Rows:
    """By the names that say whose features they are, and beside what real validation images score."""
    suffix, rows = SUFFIX[reference.origin.kind], {}
    for measured, row in found.items():
        name = measured + suffix
        real = reference.validation.get(name)
        rows[name] = row if real is None else {**row, "real_images": real["value"], "real_samples": real["samples"]}
    return rows


def census(logits: Tensor) -> dict[str, float]:
    """How many classes are the likeliest one of some image, by logits (n, classes), and the entropy of their shares."""
    shares = logits.argmax(1).bincount(minlength=logits.shape[1]).double() / len(logits)
    return {"value": int((shares > 0).sum()), "entropy": float(torch.special.entr(shares).sum())}


def recognised(logits: Tensor, confidence: float) -> float:
    """The share of images, by logits (n, classes), whose likeliest class has at least that probability."""
    return float((logits.double().softmax(1).amax(1) >= confidence).double().mean())
