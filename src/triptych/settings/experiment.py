"""One entry of the section `experiments` of `params.yaml`."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, SerializeAsAny, ValidationError, model_validator

from triptych.core.schema import Profile, Section, first_problem, resolve, shown
from triptych.models.common.registry import FAMILIES, load_settings_model
from triptych.training.settings import TrainingSettings


class Experiment(TrainingSettings):
    """One model, its data and its optimiser. `model` is checked by the family's own settings."""

    family: str = Field(description="`vae`, `gan` or `flow`")
    dataset: str = Field(description="an entry of `datasets`")
    reference: str = Field(description="an entry of `references`: what its samples are compared with")
    model: SerializeAsAny[Section] = Field(description="the network")

    @model_validator(mode="before")
    @classmethod
    def _model_of_the_family(cls, data: Any) -> Any:  # noqa: ANN401 (whatever the YAML holds)
        if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
            return data
        family = data.get("family")
        if family not in tuple(FAMILIES):  # whatever the YAML holds, hashable or not
            raise ValueError(f"family is {shown(family)}; known families: {', '.join(FAMILIES)}")
        try:
            return {**data, "model": load_settings_model(family).model_validate(data["model"])}
        except ValidationError as error:
            place, reason = first_problem(error)
            raise ValueError(f"{'.'.join(['model', *place])}: {reason}") from None

    def model_at(self, profile: Profile) -> Any:  # noqa: ANN401 (the family's own settings)
        """The `model:` section under a profile."""
        return load_settings_model(self.family).model_validate(resolve(self.model.model_dump(mode="json"), profile))

    @model_validator(mode="after")
    def _players_are_known(self) -> Self:
        for player in self.players:
            if player not in self.model.players:
                raise ValueError(f"players.{player}: this model has {' and '.join(self.model.players)}")
        return self
