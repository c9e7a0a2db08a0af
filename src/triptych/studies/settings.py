"""The settings that all studies have in common."""

from typing import Self

from pydantic import Field, model_validator

from triptych.core.settings_types import ByProfile, Section, Seed, Steps


class StudySettings(Section):
    """An entry under `studies:`; a kind adds its own keys."""

    study: str = Field(description="the kind of study: `planar` or `dirac`")
    seed: Seed = Field(description="the seed of the initial weights and of all draws")
    iterations: ByProfile[Steps] = Field(description="number of training iterations")

    @model_validator(mode="after")
    def _lists_have_no_duplicates(self) -> Self:
        for key, values in self.model_dump().items():
            if isinstance(values, list) and any(values.count(value) > 1 for value in values):
                raise ValueError(f"{key} names a value twice: {values}")
        return self
