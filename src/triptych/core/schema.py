"""What every part of the settings has in common.

Every number has an upper bound, far beyond what anyone trains here: a slip of a few zeros is told as one, and not by
the system, hours later, as memory or time that ran out.
"""

from reprlib import Repr
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

LONGEST = 60  # characters of a key or a value in a sentence
PROFILES = ("quick", "full")


Seed = Annotated[int, Field(ge=0, lt=2**63)]
Epochs = Annotated[int, Field(ge=0, le=1_000_000)]
Steps = Annotated[int, Field(ge=1, le=10_000_000)]  # iterations of a study, updates of an epoch
Images = Annotated[int, Field(ge=1, le=2_000_000)]
Draws = Annotated[int, Field(ge=1, le=1_000_000)]
Width = Annotated[int, Field(ge=1, le=16_384)]  # of a layer, or of a latent
Depth = Annotated[int, Field(ge=1, le=256)]  # layers
Widths = Annotated[list[Width], Field(max_length=32)]
SomeWidths = Annotated[list[Width], Field(min_length=1, max_length=32)]
Rate = Annotated[float, Field(gt=0.0, le=1e4)]  # of learning
Scale = Annotated[float, Field(gt=0.0, le=1e4)]
MOST_SEEDS = 1000
Repeats = Annotated[int, Field(ge=1, le=MOST_SEEDS)] | Annotated[list[Seed], Field(max_length=MOST_SEEDS)]
Weight = Annotated[float, Field(ge=0.0, le=1e6)]  # of a penalty


class Section(BaseModel):
    """A part of the settings: unknown keys are refused, nothing is converted, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def resolve(data: Any, profile: str) -> Any:  # noqa: ANN401 (settings as plain data)
    """The settings under a profile: each `{quick: ..., full: ...}` in them gives way to its value there."""
    if isinstance(data, dict):
        if set(data) == set(PROFILES):
            return data[profile]
        return {key: resolve(value, profile) for key, value in data.items()}
    return data


def first_problem(error: ValidationError) -> tuple[list[str], str]:
    """The place and the reason of the first thing that pydantic found wrong."""
    problem = error.errors(include_url=False)[0]
    place = [_key(part) for part in problem["loc"] if "[" not in str(part)]  # pydantic's own words are no keys
    kind, found = problem["type"], problem.get("input")
    if kind == "extra_forbidden":
        return place, "unknown key; remove it or correct its spelling"
    if kind == "missing":
        return place, "this key is missing"
    if kind == "value_error":
        return place, str(problem["ctx"]["error"])
    reason = problem["msg"][0].lower() + problem["msg"][1:]
    return place, f"{reason}, but it is {shown(found)}"


def _key(part: str | int) -> str:
    text = str(part)
    return text if text.isprintable() and len(text) <= LONGEST else shown(part)


def shown(value: object) -> str:
    """Whatever a file held, in a few words on one line, however large, deep or recursive it is."""
    shortened = Repr()
    shortened.maxlevel, shortened.maxstring, shortened.maxother, shortened.maxlong = 2, LONGEST, LONGEST, LONGEST
    text = shortened.repr(value)
    return text if len(text) <= 2 * LONGEST else f"{text[: 2 * LONGEST]}..."


Profile = Literal["quick", "full"]


class Budget(Section):
    """How long to train, in epochs, under each profile."""

    quick: Epochs
    full: Epochs


class Interval(Section):
    """A number, at least one, under each profile."""

    quick: Steps
    full: Steps
