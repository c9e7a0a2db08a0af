"""One entry of the section `experiments` of `params.yaml`, merged with its recipe."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator

from triptych.core.settings_types import Profile, Section, resolve, shown
from triptych.models.common.registry import FAMILIES, load_settings_model
from triptych.training.settings import TrainingSettings


class Comparison(Section):
    """The family of a model, its data, and what its samples are compared with."""

    family: str = Field(description="the family: `vae`, `gan` or `flow`")
    dataset: str = Field(description="the name of an entry of `datasets`")
    reference: str = Field(
        description="the name of an entry of `references` or `classifiers`: what samples are compared with"
    )

    @field_validator("family")
    @classmethod
    def _family_is_known(cls, family: str) -> str:
        if family not in FAMILIES:
            raise ValueError(f"unknown family {shown(family)}; known families: {', '.join(FAMILIES)}")
        return family


class Experiment(TrainingSettings, Comparison):
    """One model, its data and its training. Keys that are not marked "in the entry" can stand in the recipe.

    experiments:
      vae-20d-slow:
        family: vae
        dataset: binarized_mnist
        reference: mnist
        recipe: vae-20d
        seed: 0
        learning_rate: 5.0e-4
        schedule: cosine
    """

    model: SerializeAsAny[Section] = Field(description="the settings of the networks")

    @field_validator("model", mode="before")
    @classmethod
    def _parse_model(cls, data: Any, info: ValidationInfo) -> Any:  # noqa: ANN401 (any YAML value)
        """Validate the section `model` with the settings of the family. An unknown family has its own error."""
        if "family" not in info.data or not isinstance(data, dict):
            return data
        return load_settings_model(info.data["family"]).model_validate(data)

    def model_at(self, profile: Profile) -> Any:  # noqa: ANN401 (the settings of the family)
        """Return the section `model` under a profile."""
        return load_settings_model(self.family).model_validate(resolve(self.model.model_dump(mode="json"), profile))
