"""The settings that all studies have in common."""

from pydantic import Field

from triptych.core.schema import Section, Seed, Steps


class Iterations(Section):
    """How long to train, in iterations, under each profile."""

    quick: Steps
    full: Steps


class StudySettings(Section):
    """An entry under `studies:`; a kind adds its own keys."""

    study: str = Field(description="the kind")
    seed: Seed
    iterations: Iterations
