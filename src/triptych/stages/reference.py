"""Stage `reference`: write the reference statistics, the features of real images, `data/reference/<name>/`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_folder
from triptych.core.tracker import Tracker
from triptych.data.prepared import PreparedData
from triptych.evaluation.fidelity.extractors import Extractors
from triptych.evaluation.fidelity.measures import measure
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.evaluation.fidelity.reference_statistics import CLASSIFIER, Origin, Reference
from triptych.training.machine import machine_facts
from triptych.training.reproducible import deterministic
from triptych.training.settings import Runtime

if TYPE_CHECKING:
    from triptych.evaluation.settings import Fidelity
    from triptych.evaluation.settings import Reference as ReferenceSettings


def measure_reference(
    *,
    name: str,
    settings: ReferenceSettings,
    profile: str,
    protocol: Fidelity,
    runtime: Runtime,
    data: Path,
    classifier: Path,
    output: Path,
    tracker: Tracker,
) -> None:
    """Write the reference statistics of the entry `name` to the folder `output`.

    A copy of the folder `classifier` is stored beside the statistics. The first `protocol.samples` validation images,
    or all if there are fewer, are measured like samples and so give the score of a perfect model.
    Raises TriptychError if the extractor's weights are not available or a file is damaged.
    """
    prepared = PreparedData.open(data)
    with deterministic(runtime) as device:
        tracker.note(**machine_facts(device))
        extractors = Extractors.open(settings.extractor_at(profile), name, classifier, device)
        real = torch.from_numpy(prepared.images(settings.split))
        origin = Origin(
            dataset=settings.dataset,
            split=settings.split,
            images=len(real),
            image_shape=list(real.shape[1:]),
            data_sha256=prepared.checksum,
            kind=extractors.features.kind,
            extractor=extractors.features.name,
            weights_sha256=extractors.features.weights_sha256,
            classifier=extractors.classifier.name,
            classifier_sha256=extractors.classifier.weights_sha256,
        )
        extracted = extractors.extract(real)
        if not all(values.isfinite().all() for values in extracted.values()):
            raise TriptychError(
                f"what {extractors.classifier.name} makes of real images is not finite: "
                f"lower classifiers.{settings.dataset}.learning_rate"
            )
        reference = Reference.of(extracted, origin)
        unseen = torch.from_numpy(prepared.images("valid"))[: protocol.samples]
        reference = replace(reference, validation=measure(extractors.extract(unseen), reference, protocol))
    with atomic_folder(output) as folder:
        reference.save(folder)
        shutil.copytree(classifier, folder / CLASSIFIER)
    headline = name_of("fid", reference.validation)
    value = reference.validation[headline]["value"]
    tracker.say(f"reference {name}: real validation images score {headline} {value:.2f}")
