"""The fidelity of images of any origin, measured as that of an experiment's samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from triptych.core.errors import TriptychError
from triptych.core.progress import heartbeat
from triptych.data.image_files import require_uint8
from triptych.data.raw_images import checked_images
from triptych.evaluation.fidelity.extractors import Extractors
from triptych.evaluation.fidelity.measures import PARTS, Rows, precision_and_recall, scores
from triptych.evaluation.fidelity.reference_statistics import CLASSIFIER, ReferenceStatistics
from triptych.training.reproducible import deterministic
from triptych.training.settings import Runtime

if TYPE_CHECKING:
    from triptych.evaluation.settings import Fidelity


def score(images: np.ndarray, reference: Path, protocol: Fidelity, runtime: Runtime, label: str = "images") -> Rows:
    """Return FID, KID, IS, precision and recall, each with its protocol, of uint8 images (n, h, w) or (n, 3, h, w).

    `reference` is a folder of the stage `reference`, such as `data/reference/mnist`. Of more images than
    `protocol.samples`, a random subset is measured, always the same one, since FID depends on the number of images.
    Raises TriptychError, which names the images by `label`, if they have another shape, type or range, or are too few.
    """
    real = ReferenceStatistics.load(reference)
    require_uint8(label, images.shape, images.dtype)
    images = checked_images(images, label, real.origin.image_shape)
    needed = max(PARTS, min(protocol.kid_subset_size, len(real.features)))
    if len(images) < needed:
        raise TriptychError(
            f"{label} holds {len(images)} images, fewer than the {needed} that IS and KID need: use more images"
        )
    if len(images) > protocol.samples:
        images = images[np.random.default_rng(0).permutation(len(images))[: protocol.samples]]
    with deterministic(runtime) as device:
        extractors = Extractors.open(
            real.origin.kind, reference.name, reference / CLASSIFIER, real.origin.image_shape[-1], device
        )
        real.require_weights(extractors, reference)
        extracted = extractors.features.extract(torch.from_numpy(np.ascontiguousarray(images)))
        with heartbeat(f"{label}  FID, KID and IS"):
            found = scores(extracted, real, protocol)
        with heartbeat(f"{label}  precision and recall"):
            return {**found, **precision_and_recall(extracted, real)}
