"""The JSON files that stages leave for each other, held against what their readers need of them.

A file may hold more. What is missing or of another type is damage to the file, told in one sentence.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from triptych.core.errors import TriptychError
from triptych.core.json_files import MAKE_AGAIN, Document, is_number, read_json
from triptych.core.schema import first_problem

Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=1, le=1024)]
Shape = Annotated[list[Side], Field(min_length=2, max_length=3)]
PROTOCOL = (
    "samples",
    "reference_images",
    "real_samples",
    "neighbours",
    "subsets",
    "subset_size",
    "dequantization_draws",
    "images",
    "parts",
    "confidence",
    "epochs",
    "iterations",
)
"""Numbers in `metrics.json` that say how something was measured, not what came out."""


class Written(BaseModel):
    """What a reader needs of a file; nothing is converted."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)


class PreparedManifest(Written):
    """Of a prepared data set."""

    dataset: str
    source: str
    image_shape: Shape
    splits: dict[str, Count]
    binarization: str
    files: dict[str, str]
    sha256: str

    @model_validator(mode="after")
    def _every_split(self) -> Self:
        for split in ("train", "valid", "test"):
            if split not in self.splits or f"x_{split}.npy" not in self.files:
                raise ValueError(f"it has no {split} images")
        return self


class Data(Written):
    """What a result says of its data."""

    dataset: str
    source: str
    sha256: str


class TrainingData(Data):
    """The same, for a model to be built by."""

    image_shape: Shape


class ModelSettings(Written):
    """The settings that a model was trained with, as far as it takes them to build it again."""

    family: str
    epochs: Count
    model: dict[str, Any]


class ModelManifest(Written):
    """Of a trained model."""

    fingerprint: str
    profile: str
    settings: ModelSettings
    data: TrainingData
    epoch_updates: Count
    snapshots: list[Count] = Field(min_length=1)
    parameters: Count
    weights_sha256: str
    files: dict[str, str]


class JudgeSettings(Written):
    """The settings of a classifier's network."""

    model: dict[str, Any]


class JudgeManifest(Written):
    """Of a trained classifier."""

    extractor: str
    settings: JudgeSettings
    weights_sha256: str


class ReferenceManifest(Written):
    """Of the statistics of real images."""

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
    real_validation_images: dict[str, dict[str, Any]]
    statistics_sha256: str


class CheckpointIndex(Written):
    """Of an unfinished run's last checkpoint."""

    step: Count
    history: list[dict[str, float]] = Field(min_length=1)
    seconds: float
    state: str = Field(pattern=r"^[0-9]+\.state\.safetensors$")
    sha256: str


class Measured(Written):
    """A number, and perhaps how it was measured."""

    value: float
    real_images: float | None = None
    real_samples: Count | None = None


class Judged(Measured):
    """The same of generated images beside real ones."""

    samples: Count
    reference: str
    reference_images: Count
    extractor: str


class Judgement(Written):
    """Which real images an experiment was compared with."""

    name: str
    key: str


class Metrics(Written):
    """What an evaluation measured."""

    test: dict[str, float]
    not_defined: dict[str, str]
    samples_are: str
    recognised: Measured
    classes: Measured
    parameters: Count
    epochs: Count
    profile: str
    reference: Judgement
    data: Data
    fingerprint: str
    weights_sha256: str

    @model_validator(mode="after")
    def _is_judged(self) -> Self:
        for suffix in ("", "_classifier"):
            if f"fid{suffix}" in self.model_extra:
                Judged.model_validate(self.model_extra[f"fid{suffix}"])
                for measure in ("kid", "is", "precision", "recall"):
                    Measured.model_validate(self.model_extra.get(f"{measure}{suffix}"))
                return self
        raise ValueError("it has no fid")


def read_document(path: Path, kind: type[Written]) -> Document:
    """A JSON file of that kind. Raises TriptychError, in one sentence, if it is missing or damaged."""
    data = read_json(path)
    try:
        kind.model_validate(data)
    except ValidationError as error:
        place, reason = first_problem(error)
        words = ": ".join(filter(None, [".".join(place), reason]))
        raise TriptychError(f"{path} is damaged: {words}; {MAKE_AGAIN}") from None
    return data


def measured(values: dict[str, Any]) -> dict[str, Any]:
    """The numbers that came out, of flattened metrics; `fid_classifier.value` by its plain name."""
    return {
        key.removesuffix(".value"): value
        for key, value in values.items()
        if is_number(value) and key.split(".")[-1] not in PROTOCOL
    }
