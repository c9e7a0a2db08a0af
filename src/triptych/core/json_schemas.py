"""Pydantic models of the JSON files that stages exchange: manifests, results and the checkpoint index.

A file may hold further keys. A missing key or a wrong type means that the file is damaged.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from triptych.core.errors import TriptychError
from triptych.core.json_files import MAKE_AGAIN, Document, is_number, read_json
from triptych.core.settings_types import first_problem, key_path

Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=1, le=1024)]
Shape = Annotated[list[Side], Field(min_length=2, max_length=3)]
PROTOCOL = (
    "samples", "reference_images", "real_samples", "test_images", "training_images", "neighbours", "subsets",
    "subset_size", "dequantization_draws", "images", "parts", "confidence", "epochs", "iterations", "resamplings",
)  # fmt: skip
"""Keys of numbers in `results.json` that describe how a result was measured; they are not results."""


class JsonSchema(BaseModel):
    """The keys of a file that its readers need; no value is converted."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)


def read_document(path: Path, schema: type[JsonSchema]) -> Document:
    """Return the content of a JSON file. Raises TriptychError if the file is missing or does not fit the schema."""
    data = read_json(path)
    try:
        schema.model_validate(data)
    except ValidationError as error:
        place, reason = first_problem(error)
        problem = ": ".join(filter(None, [key_path(place), reason]))
        raise TriptychError(f"{path} is damaged: {problem}; {MAKE_AGAIN}") from None
    return data


def measured(values: dict[str, Any]) -> dict[str, Any]:
    """Return the results among flattened metrics, without the protocol; `fid_classifier.value` loses its suffix."""
    return {
        key.removesuffix(".value"): value
        for key, value in values.items()
        if is_number(value) and key.split(".")[-1] not in PROTOCOL
    }


class PreparedManifest(JsonSchema):
    """The manifest of a prepared data set."""

    dataset: str
    source: str
    image_shape: Shape
    splits: dict[str, Count]
    binarization: str
    files: dict[str, str]
    sha256: str

    @model_validator(mode="after")
    def _has_every_split(self) -> Self:
        for split in ("train", "valid", "test"):
            if split not in self.splits or f"x_{split}.npy" not in self.files:
                raise ValueError(f"it has no {split} images")
        return self


class Data(JsonSchema):
    """The data of a result."""

    dataset: str
    source: str
    sha256: str


class TrainingData(Data):
    """The data of a trained model, with the shape that is needed to build the model."""

    image_shape: Shape


class ModelSettings(JsonSchema):
    """The settings of a trained model that are needed to build it again."""

    family: str
    epochs: Count
    model: dict[str, Any]


class ModelManifest(JsonSchema):
    """The manifest of a trained model."""

    fingerprint: str
    profile: str
    settings: ModelSettings
    data: TrainingData
    epoch_updates: Count
    snapshots: list[Count] = Field(min_length=1)
    parameters: Count
    weights_sha256: str
    files: dict[str, str]


class ClassifierSettings(JsonSchema):
    """The settings of a classifier's network."""

    model: dict[str, Any]


class ClassifierManifest(JsonSchema):
    """The manifest of a trained classifier."""

    extractor: str
    settings: ClassifierSettings
    weights_sha256: str


class ReferenceManifest(JsonSchema):
    """The manifest of reference statistics."""

    dataset: str
    split: str
    images: Count
    image_shape: Shape
    data_sha256: str
    kind: Literal["classifier", "inception"]
    extractor: str
    weights_sha256: str
    classifier: str
    classifier_sha256: str
    key: str
    source: str
    real_validation_images: dict[str, dict[str, Any]]
    published_samples: Count
    names_classes: bool
    statistics_sha256: str


class CheckpointIndex(JsonSchema):
    """The index of the last checkpoint of an unfinished run."""

    step: Count
    history: list[dict[str, float]] = Field(min_length=1)
    seconds: float
    state: str = Field(pattern=r"^[0-9]+\.state\.safetensors$")
    sha256: str


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
