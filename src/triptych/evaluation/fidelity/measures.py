"""FID, KID, IS, precision and recall of generated images, each with the protocol of its measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from triptych.core.errors import TriptychError
from triptych.evaluation.fidelity.bootstrap import fid_uncertainty, is_uncertainty, kid_uncertainty
from triptych.evaluation.fidelity.extractors import CLASS_LOGITS, FEATURES, LOGITS, Features
from triptych.evaluation.fidelity.frechet import Gaussian, squared_distance
from triptych.evaluation.fidelity.metric_names import SUFFIX
from triptych.evaluation.fidelity.reference_statistics import ReferenceStatistics

if TYPE_CHECKING:
    from triptych.evaluation.settings import Fidelity

PARTS = 10  # of the samples, for the standard deviation of IS, as in Salimans et al. 2016
NEIGHBOURS = 3  # the radius of a ball is the distance to this nearest neighbour, as in Kynkaanniemi et al. 2019
CHUNK = 1000  # images whose distances to all others are in memory at the same time
COUNTED = 1000  # largest number of samples whose classes are counted

Rows = dict[str, dict[str, Any]]


def measure_fidelity(
    extracted: Features, reference: ReferenceStatistics, protocol: Fidelity, *, intervals: bool = True
) -> Rows:
    """Return all measures of a final model's samples: `scores`, `precision_and_recall`, `recognised` and `classes`.

    `recognised` is the share of images to which the classifier gives one class with the protocol's confidence or more.
    `classes` is the number of classes among the first samples, with the entropy of their shares in nats. Both decrease
    if a generator collapses. Both are missing if the classes of the real images are not those of the classifier.
    """
    found = scores(extracted, reference, protocol, intervals=intervals) | precision_and_recall(extracted, reference)
    return found | _classes(extracted, reference, protocol) if reference.names_classes else found


def _classes(extracted: Features, reference: ReferenceStatistics, protocol: Fidelity) -> Rows:
    logits, count = extracted[CLASS_LOGITS], len(extracted[CLASS_LOGITS])
    compared = comparison(count, reference)
    named = {"extractor": reference.origin.classifier}
    confident = {
        "value": recognised_share(logits, protocol.confidence),
        "confidence": protocol.confidence,
        **compared,
        "real_images": recognised_share(reference.classes, protocol.confidence),
    }
    counted, real = count_classes(logits[:COUNTED]), count_classes(reference.classes)
    of_real = {"real_images": real["value"], "real_entropy": real["entropy"]}
    classes = {**counted, **compared, "samples": min(COUNTED, count), **of_real}
    return {"recognised": confident | named, "classes": classes | named}


def scores(generated: Features, reference: ReferenceStatistics, protocol: Fidelity, *, intervals: bool = True) -> Rows:
    """Return FID, KID and IS of generated images from their features, as `fid` or `fid_classifier`, and so on.

    - FID: squared Frechet distance between Gaussians fitted to the features (Heusel et al. 2017).
    - KID: unbiased squared MMD with a cubic kernel, mean and standard deviation over subsets (Binkowski et al. 2018).
    - IS: exp E KL(p(y|x) || p(y)) of the generated images alone, mean and standard deviation over 10 parts (Salimans
      et al. 2016).

    With `intervals`, each has its standard error and its 95 % interval, unless `protocol.resamplings` is 0. All are
    computed in float64, so that means over ten thousand features keep their digits. With few images, the subsets of KID
    are as large as the smaller set, and IS has one part per image.
    """
    ours, theirs = generated[FEATURES].double(), reference.features.double()
    subset_size, parts = min(protocol.kid_subset_size, len(ours), len(theirs)), min(PARTS, len(ours))
    fid = squared_distance(Gaussian.fit(ours), reference.gaussian, reference.root)
    kid = kid_features_to_metric(
        ours, theirs, kid_subsets=protocol.kid_subsets, kid_subset_size=subset_size, verbose=False
    )
    inception = isc_features_to_metric(generated[LOGITS], splits=parts)
    compared = comparison(len(ours), reference)
    found = {
        "fid": {"value": fid, **compared},
        "kid": {
            "value": kid[KEY_METRIC_KID_MEAN], "standard_deviation": kid[KEY_METRIC_KID_STD],
            "subsets": protocol.kid_subsets, "subset_size": subset_size, **compared,
        },
        "is": {
            "value": inception[KEY_METRIC_ISC_MEAN], "standard_deviation": inception[KEY_METRIC_ISC_STD],
            "samples": len(ours), "parts": parts, "reference": "none", "extractor": reference.origin.extractor,
        },
    }  # fmt: skip
    if intervals and (count := protocol.resamplings):
        found["fid"] |= fid_uncertainty(fid, ours, theirs, count)
        found["kid"] |= kid_uncertainty(found["kid"]["value"], ours, theirs, count)
        found["is"] |= is_uncertainty(found["is"]["value"], generated[LOGITS], parts, count)
    return _named(found, reference)


def precision_and_recall(generated: Features, reference: ReferenceStatistics) -> Rows:
    """Return precision and recall from features (Kynkaanniemi et al. 2019).

    Precision is the share of generated images inside a ball around a real image. The radius of a ball is the distance
    to the third nearest real image. Recall is the same with the roles exchanged. Both depend on the numbers of images.
    """
    ours, theirs = generated[FEATURES].double(), reference.features.double()
    if min(len(ours), len(theirs)) <= NEIGHBOURS:
        raise TriptychError(
            f"precision and recall need more than {NEIGHBOURS} images of each kind, but there are {len(ours)} samples "
            f"and {len(theirs)} real images: use more of both"
        )
    found = prc_features_to_metric(
        ours, theirs, prc_neighborhood=NEIGHBOURS, prc_batch_size=CHUNK, save_cpu_ram=True, verbose=False
    )
    protocol = {"neighbours": NEIGHBOURS, **comparison(len(ours), reference)}
    values = {"precision": found[KEY_METRIC_PRECISION], "recall": found[KEY_METRIC_RECALL]}
    return _named({name: {"value": value, **protocol} for name, value in values.items()}, reference)


def comparison(samples: int, reference: ReferenceStatistics) -> dict[str, object]:
    """Return the protocol that all comparisons with real images share."""
    return {
        "samples": samples,
        "reference": reference.split,
        "reference_images": len(reference.features),
        "extractor": reference.origin.extractor,
    }


def _named(found: Rows, reference: ReferenceStatistics) -> Rows:
    """Return the rows under names that contain the extractor, each with the score of real validation images."""
    suffix, rows = SUFFIX[reference.origin.kind], {}
    for measured, row in found.items():
        name = measured + suffix
        real = reference.validation.get(name)
        rows[name] = row if real is None else {**row, "real_images": real["value"], "real_samples": real["samples"]}
    return rows


def count_classes(logits: Tensor) -> dict[str, float]:
    """Return the number of classes that are the most probable one of an image, and the entropy of their shares in nats.

    >>> import torch
    >>> count_classes(torch.tensor([[2.0, 0.0, 0.0], [3.0, 1.0, 0.0]]))
    {'value': 1, 'entropy': 0.0}
    """
    shares = logits.argmax(1).bincount(minlength=logits.shape[1]).double() / len(logits)
    return {"value": int((shares > 0).sum()), "entropy": float(torch.special.entr(shares).sum())}


def recognised_share(logits: Tensor, confidence: float) -> float:
    """Return the share of images, from logits (n, classes), whose largest class probability is at least `confidence`.

    >>> import torch
    >>> recognised_share(torch.tensor([[9.0, 0.0], [0.0, 0.0]]), 0.9)
    0.5
    """
    return float((logits.double().softmax(1).amax(1) >= confidence).double().mean())
