"""What every part of the settings has in common."""

from reprlib import Repr
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

LONGEST = 60  # characters of a key or a value in a sentence
PROFILES = ("quick", "full")


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
    shortened.maxstring = shortened.maxother = shortened.maxlong = LONGEST
    return shortened.repr(value)
