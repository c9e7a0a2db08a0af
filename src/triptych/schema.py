"""What every part of the settings has in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict

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
