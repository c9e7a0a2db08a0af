"""The file `results.json` of an experiment: its schema, and its results without their protocol."""

from typing import Any, Self

from pydantic import model_validator

from triptych.core.json_files import is_number
from triptych.core.json_schemas import Count, JsonSchema
from triptych.models.common.manifest import Data

PROTOCOL = (
    "samples", "reference_images", "real_samples", "test_images", "training_images", "neighbours", "subsets",
    "subset_size", "dequantization_draws", "images", "parts", "confidence", "epochs", "iterations", "resamplings",
    "snapshots", "threshold",
)  # fmt: skip
"""Keys of numbers in `results.json` that describe how a result was measured; they are not results."""


def measured(values: dict[str, Any]) -> dict[str, Any]:
    """Return the results among flattened metrics, without the protocol; `fid_classifier.value` loses its suffix."""
    return {
        key.removesuffix(".value"): value
        for key, value in values.items()
        if is_number(value) and key.split(".")[-1] not in PROTOCOL
    }


class Measure(JsonSchema):
    """A number in `results.json`."""

    value: float
    real_images: float | None = None
    real_samples: Count | None = None


class ReferencedMeasure(Measure):
    """A number that compares samples with real images."""

    samples: Count
    reference: str
    reference_images: Count
    extractor: str


class Copying(Measure):
    """The comparison of samples with training images."""

    z_score: float
    samples: Count
    test_images: Count
    training_images: Count
    extractor: str
    sentence: str


class ReferenceName(JsonSchema):
    """The reference statistics that an experiment was compared with."""

    name: str
    key: str


class Results(JsonSchema):
    """The file `plots/<experiment>/results.json`."""

    test: dict[str, float]
    not_defined: dict[str, str]
    samples_are: str
    recognised: Measure | None = None
    classes: Measure | None = None
    copying: Copying
    parameters: Count
    epochs: Count
    profile: str
    reference: ReferenceName
    data: Data
    fingerprint: str
    weights_sha256: str

    @model_validator(mode="after")
    def _has_fidelity(self) -> Self:
        for suffix in ("", "_classifier"):
            if f"fid{suffix}" in self.model_extra:
                ReferencedMeasure.model_validate(self.model_extra[f"fid{suffix}"])
                for measure in ("kid", "is", "precision", "recall"):
                    Measure.model_validate(self.model_extra.get(f"{measure}{suffix}"))
                return self
        raise ValueError("it has no fid")
