"""The manifest of a trained model."""

from typing import Any

from pydantic import Field

from triptych.core.json_schemas import Count, JsonSchema, JsonShape


class Data(JsonSchema):
    """The data of a result."""

    dataset: str
    source: str
    sha256: str


class TrainingData(Data):
    """The data of a trained model, with the shape that is needed to build the model."""

    image_shape: JsonShape


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
