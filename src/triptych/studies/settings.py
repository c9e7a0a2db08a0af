"""What the settings of every study have in common."""

from pydantic import Field, NonNegativeInt, PositiveInt

from triptych.schema import Section


class Iterations(Section):
    """How long to train, in iterations, under each profile."""

    quick: PositiveInt
    full: PositiveInt


class StudySettings(Section):
    """An entry under `studies:`; a kind adds its own keys."""

    study: str = Field(description="the kind")
    seed: NonNegativeInt
    iterations: Iterations
