"""The fidelity of images of any origin, measured as that of an experiment's samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from triptych.core.errors import TriptychError
from triptych.core.progress import heartbeat
from triptych.data.array_images import LABEL, to_levels
from triptych.data.image_files import read_images
from triptych.data.raw_images import checked_images
from triptych.evaluation.fidelity.extractors import Extractors
from triptych.evaluation.fidelity.measures import PARTS, Rows, precision_and_recall, scores
from triptych.evaluation.fidelity.reference_statistics import CLASSIFIER, ReferenceStatistics
from triptych.training.reproducible import deterministic
from triptych.training.settings import Runtime

if TYPE_CHECKING:
    from triptych.evaluation.settings import Fidelity
    from triptych.inference.trained_model import Images


def score(
    images: Images | str | Path, reference: Path, protocol: Fidelity, runtime: Runtime, label: str = LABEL
) -> Rows:
    """Return FID, KID, IS, precision and recall, each with its protocol, of images (n, h, w) or (n, 3, h, w).

    `images` are arrays, or the path of a file or a folder. `reference` is a folder of the stage `reference`, such as
    `data/reference/mnist`. Of more images than `protocol.samples`, a random subset is measured, always the same one,
    since FID depends on the number of images. Raises TriptychError, which names the images by `label`, if they have
    another shape, type or range, or are too few.
    """
    real = ReferenceStatistics.load(reference)
    if isinstance(images, str | Path):
        images, label = read_images(Path(images), real.origin.image_shape), str(images)
    images = checked_images(to_levels(images, label), label, real.origin.image_shape)
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
