"""The settings of a study of the Dirac game."""

from typing import Literal, Self

from pydantic import Field, model_validator

from triptych.core.settings_types import Rate, Scale, Section, Weight
from triptych.studies.settings import StudySettings


class Penalty(Section):
    """A gradient penalty of the critic.

    recipes:
      dirac:
        penalties: [{reg_type: none}, {reg_type: r1gp, reg_cf: 0.1}]
    """

    reg_type: Literal["none", "ogp", "r1gp"] = Field(description="`ogp`: one-centred; `r1gp`: R1, at real samples")
    reg_cf: Weight = Field(default=0.0, description="coefficient of the penalty: 0 for `none`, else more than 0")

    @model_validator(mode="after")
    def _coefficient_fits(self) -> Self:
        if (self.reg_type == "none") != (self.reg_cf == 0.0):
            raise ValueError(
                f"reg_cf is {self.reg_cf:g} for {self.reg_type}; use 0 for none, and more than 0 for a penalty"
            )
        return self


class Settings(StudySettings):
    """Dirac games: each loss with each penalty, without and with averaging of the generator.

    studies:
      dirac-fast:
        study: dirac
        recipe: dirac
        seed: 0
        losses: [w1]
        learning_rate: 0.2
    """

    losses: list[Literal["jsd", "w1"]] = Field(
        default=["jsd", "w1"],
        min_length=1,
        description="what the critics estimate: the Jensen-Shannon divergence, the Wasserstein distance",
    )
    generator_loss: Literal["metric", "non_saturating"] = Field(
        default="metric",
        description="`metric`: the estimate of the critic; `non_saturating`: the usual loss, only with `losses: [jsd]`",
    )
    penalties: list[Penalty] = Field(
        min_length=1,
        max_length=100,
        description="the penalties; each game is listed twice: without and with averaging of the generator",
    )
    learning_rate: Rate = Field(description="learning rate of generator and critic")
    ema: float = Field(
        gt=0.0, lt=1.0, description="decay of the moving average of the generator, for the games with averaging"
    )
    start_scale: Scale = Field(description="standard deviation of the start values psi0, psi1 and theta")

    @model_validator(mode="after")
    def _generator_loss_fits(self) -> Self:
        if self.generator_loss == "non_saturating" and self.losses != ["jsd"]:
            raise ValueError("generator_loss is non_saturating, which belongs to jsd: use losses: [jsd]")
        return self
