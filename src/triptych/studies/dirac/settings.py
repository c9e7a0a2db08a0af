"""The settings of a study of the Dirac game."""

from typing import Literal, Self

from pydantic import Field, model_validator

from triptych.core.settings_types import Rate, Scale, Section, Weight
from triptych.studies.settings import StudySettings


class Penalty(Section):
    """A gradient penalty of the critic: one-centred (ogp), at real samples (r1gp), or none."""

    reg_type: Literal["none", "ogp", "r1gp"]
    reg_cf: Weight = 0.0

    @model_validator(mode="after")
    def _coefficient_fits(self) -> Self:
        if (self.reg_type == "none") != (self.reg_cf == 0.0):
            raise ValueError(
                f"reg_cf is {self.reg_cf:g} for {self.reg_type}; use 0 for none, and more than 0 for a penalty"
            )
        return self


class Settings(StudySettings):
    """An entry under `studies:` with `study: dirac`: each loss with each penalty, without and with averaging."""

    losses: list[Literal["jsd", "w1"]] = Field(default=["jsd", "w1"], min_length=1)
    generator_loss: Literal["metric", "non_saturating"] = Field(
        default="metric",
        description="metric: the critic's estimate; non_saturating: the usual one of GANs, only with jsd",
    )
    penalties: list[Penalty] = Field(min_length=1, max_length=100)
    learning_rate: Rate = Field(description="of both players")
    ema: float = Field(
        gt=0.0, lt=1.0, description="decay of the averaged generator, in the second half of the configurations"
    )
    start_scale: Scale = Field(description="standard deviation of psi0, psi1 and theta at the start")

    @model_validator(mode="after")
    def _generator_loss_fits(self) -> Self:
        if self.generator_loss == "non_saturating" and self.losses != ["jsd"]:
            raise ValueError("generator_loss is non_saturating, which belongs to jsd: use losses: [jsd]")
        return self
