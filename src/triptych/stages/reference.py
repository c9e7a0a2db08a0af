"""Stage `reference`: write the reference statistics, the features of real images, `data/reference/<name>/`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_folder
from triptych.core.number_formats import FID
from triptych.core.tracker import Tracker
from triptych.data.prepared import PreparedData
from triptych.evaluation.fidelity.extractors import CLASSIFIER_FEATURES, FEATURES, Extractors, Features, Kind
from triptych.evaluation.fidelity.measures import measure_fidelity
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.evaluation.fidelity.reference_statistics import (
    CLASSIFIER,
    PUBLISHED,
    SPLIT_FEATURES,
    Origin,
    ReferenceStatistics,
)
from triptych.figures.image_grids import REAL_SHEET, SHEET_COLUMNS, SHEET_IMAGES, tile
from triptych.training.machine import machine_facts
from triptych.training.reproducible import deterministic
from triptych.training.settings import Runtime
from triptych.training.weights import save_tensors

if TYPE_CHECKING:
    from triptych.evaluation.settings import Fidelity


def measure_reference(
    *,
    name: str,
    kind: Kind,
    split: str,
    protocol: Fidelity,
    runtime: Runtime,
    data: Path,
    classifier: Path,
    output: Path,
    tracker: Tracker,
    published_samples: int = 0,
    names_classes: bool = True,
) -> None:
    """Write the statistics of the real images of one split, on the features of `kind`, to the folder `output`.

    A copy of the folder `classifier`, which names classes, is stored beside the statistics. The first
    `protocol.samples` validation images, or all if there are fewer, are measured like samples and so give the score of
    a perfect model. With `published_samples`, the folder `published` has the statistics of all images of train and
    valid, with which as many samples are compared. `names_classes` says whether the classes of the images are those of
    the classifier. Raises TriptychError if the extractor's weights are not available
    or a file is damaged.
    """
    prepared = PreparedData.open(data)
    with deterministic(runtime) as device:
        tracker.note(**machine_facts(device))
        extractors = Extractors.open(kind, name, classifier, prepared.manifest["image_shape"][-1], device)
        real = _extract(prepared, [split], extractors)
        reference = _statistics(prepared, [split], extractors, real)
        unseen = torch.from_numpy(prepared.images("valid"))[: protocol.samples]
        reference = replace(reference, names_classes=names_classes)
        validation = measure_fidelity(extractors.extract(unseen), reference, protocol, intervals=False)
        reference = replace(reference, validation=validation, published_samples=published_samples)
        other = "train" if split == "test" else "test"
        of_other = extractors.classifier.extract(_images(prepared, [other]))[FEATURES]
        published = None
        if published_samples:
            parts = ["train", "valid"]
            published = _statistics(prepared, parts, extractors, _extract(prepared, parts, extractors))
    with atomic_folder(output) as folder:
        reference.save(folder)
        save_tensors(folder / SPLIT_FEATURES, {split: real[CLASSIFIER_FEATURES], other: of_other})
        _save_sheet(prepared.images(split), folder / REAL_SHEET)
        card = shutil.ignore_patterns("README.md")  # DVC leaves it out, too
        shutil.copytree(classifier, folder / CLASSIFIER, ignore=card)
        if published is not None:
            (folder / PUBLISHED).mkdir()
            published.save(folder / PUBLISHED)
    headline = name_of("fid", reference.validation)
    value = reference.validation[headline]["value"]
    tracker.say(f"{name}: real validation images score {headline} {FID.format(value)}")


def _save_sheet(images: np.ndarray, path: Path) -> None:
    """Write images at equal distances, since a test set may be sorted by class. Of a small set, some are repeated."""
    chosen = np.linspace(0, len(images) - 1, SHEET_IMAGES).round().astype(int)
    Image.fromarray(tile(images[chosen], SHEET_COLUMNS)).save(path)


def _images(prepared: PreparedData, splits: Sequence[str]) -> Tensor:
    return torch.from_numpy(np.concatenate([prepared.images(split) for split in splits]))


def _extract(prepared: PreparedData, splits: Sequence[str], extractors: Extractors) -> Features:
    """Return the features of all images of some splits. Raises TriptychError if one is not finite."""
    extracted = extractors.extract(_images(prepared, splits))
    if not all(values.isfinite().all() for values in extracted.values()):
        raise TriptychError(
            f"the features of {extractors.classifier.name} for the real images of {prepared.name} are not finite: "
            "train this classifier with a lower learning rate"
        )
    return extracted


def _statistics(
    prepared: PreparedData, splits: Sequence[str], extractors: Extractors, extracted: Features
) -> ReferenceStatistics:
    """Return the statistics of all images of some splits, from their features."""
    origin = Origin(
        dataset=prepared.name,
        split="+".join(splits),
        images=len(extracted[FEATURES]),
        image_shape=prepared.manifest["image_shape"],
        data_sha256=prepared.checksum,
        kind=extractors.features.kind,
        extractor=extractors.features.name,
        weights_sha256=extractors.features.weights_sha256,
        classifier=extractors.classifier.name,
        classifier_sha256=extractors.classifier.weights_sha256,
    )
    return replace(ReferenceStatistics.of(extracted, origin), source=prepared.manifest["source"])
