"""The settings of a study of planar flows."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from triptych.core.settings_types import Depth, Images, Rate, Scale, Section
from triptych.studies.settings import StudySettings


class Annealing(Section):
    """The factor of the energy: min(1, start + fraction / ramp) after a fraction of all iterations."""

    start: float = Field(ge=0.0, le=1.0)
    ramp: float = Field(gt=0.0, le=1.0)


class InitialScales(Section):
    """Standard deviations of the untrained weights."""

    u: Scale
    w: Scale
    b: Scale


class Settings(StudySettings):
    """An entry under `studies:` with `study: planar`: one configuration per density and number of layers."""

    fitted_to: Literal["samples", "density"]
    densities: list[Literal["arcs", "sine"]] = Field(default=["arcs", "sine"], min_length=1)
    layers: list[Depth] = Field(min_length=1, max_length=32)
    batch_size: Images
    learning_rate: Rate
    smoothing: float = Field(gt=0.0, lt=1.0, description="decay of RMSprop's mean square")
    initial_scales: InitialScales
    samples: PositiveInt | None = Field(default=None, ge=2, le=2_000_000, description="size of the data set")
    annealing: Annealing | None = Field(
        default=None, description="annealing of the energy, for flows fitted to a density"
    )
    evaluation_samples: PositiveInt = Field(ge=2, le=2_000_000, description="new samples per measured number")

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if (self.fitted_to == "samples") != (self.samples is not None):
            raise ValueError("samples belongs to fitted_to: samples, which needs it")
        if self.fitted_to == "samples" and self.annealing is not None:
            raise ValueError("annealing belongs to fitted_to: density")
        return self
