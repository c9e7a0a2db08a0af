"""The settings of a study of planar flows."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from triptych.core.settings_types import Depth, Images, Rate, Scale, Section
from triptych.studies.settings import StudySettings


class Annealing(Section):
    """The factor of the energy: min(1, start + fraction / ramp) after a fraction of all iterations.

    studies:
      planar-density:
        annealing: {start: 0.1, ramp: 0.25}
    """

    start: float = Field(ge=0.0, le=1.0, description="the factor at the first iteration")
    ramp: float = Field(
        gt=0.0,
        le=1.0,
        description="the factor grows by 1 in this share of the iterations, but stops at 1",
    )


class InitialScales(Section):
    """Standard deviations of the initial weights of a planar layer, z + u tanh(w z + b).

    studies:
      planar-samples:
        initial_scales: {u: 0.2, w: 1.0, b: 2.0}
    """

    u: Scale = Field(description="standard deviation of u")
    w: Scale = Field(description="standard deviation of w")
    b: Scale = Field(description="standard deviation of b")


class Settings(StudySettings):
    """Planar flows: one configuration per density and number of layers.

    studies:
      planar-deep:
        study: planar
        recipe: planar
        seed: 0
        fitted_to: samples
        layers: [64]
        initial_scales: {u: 0.1, w: 1.0, b: 1.0}
        samples: 20000
    """

    fitted_to: Literal["samples", "density"] = Field(
        description="`samples`: maximum likelihood; `density`: the KL divergence to the unnormalised density"
    )
    densities: list[Literal["arcs", "sine"]] = Field(
        default=["arcs", "sine"], min_length=1, description="the densities in the plane"
    )
    layers: list[Depth] = Field(min_length=1, max_length=32, description="numbers of layers, one flow for each")
    batch_size: Images = Field(description="points per iteration")
    learning_rate: Rate = Field(description="learning rate of RMSprop")
    smoothing: float = Field(gt=0.0, lt=1.0, description="decay of the mean square in RMSprop")
    initial_scales: InitialScales = Field(description="standard deviations of the initial weights")
    samples: PositiveInt | None = Field(
        default=None,
        ge=2,
        le=2_000_000,
        description="with `fitted_to: samples`, required there: number of points in the data set",
    )
    annealing: Annealing | None = Field(
        default=None, description="with `fitted_to: density` only: annealing of the energy"
    )
    evaluation_samples: PositiveInt = Field(
        ge=2, le=2_000_000, description="number of new samples for each measured number"
    )

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if (self.fitted_to == "samples") != (self.samples is not None):
            raise ValueError("samples belongs to fitted_to: samples, which needs it")
        if self.fitted_to == "samples" and self.annealing is not None:
            raise ValueError("annealing belongs to fitted_to: density")
        return self
