"""The base class and the number types of all settings, and one-sentence reasons for validation errors.

Every number has an upper bound far above realistic values, so that an extra zero is refused before the run starts.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from reprlib import Repr
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

LONGEST = 60  # characters of a key or a value in a message
PROFILES = ("quick", "full")

T = TypeVar("T")

Profile = Literal["quick", "full"]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Epochs = Annotated[int, Field(ge=0, le=1_000_000)]
Steps = Annotated[int, Field(ge=1, le=10_000_000)]  # iterations of a study, updates per epoch
Images = Annotated[int, Field(ge=1, le=2_000_000)]
Draws = Annotated[int, Field(ge=1, le=1_000_000)]
Width = Annotated[int, Field(ge=1, le=16_384)]  # of a layer or a latent space
Depth = Annotated[int, Field(ge=1, le=256)]  # number of layers
Widths = Annotated[list[Width], Field(max_length=32)]
SomeWidths = Annotated[list[Width], Field(min_length=1, max_length=32)]
Rate = Annotated[float, Field(gt=0.0, le=1e4)]  # learning rate
Scale = Annotated[float, Field(gt=0.0, le=1e4)]
Weight = Annotated[float, Field(ge=0.0, le=1e6)]  # weight of a penalty


class Section(BaseModel):
    """A part of the settings. Unknown keys are refused, types are not converted, and instances are immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _keys_are_known(cls, data: Any) -> Any:  # noqa: ANN401 (any YAML value)
        unknown = [key for key in data if key not in cls.model_fields] if isinstance(data, dict) else []
        if unknown:
            errors = [_unknown_key(str(key), cls.model_fields) for key in unknown]
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return data


def _unknown_key(key: str, known: Iterable[str]) -> InitErrorDetails:
    advice = "remove it or correct its spelling"
    for nearest in get_close_matches(key, known, 1):
        advice = f"write `{nearest}` or remove it"
    return {"type": PydanticCustomError(UNKNOWN_KEY, f"unknown key; {advice}"), "loc": (key,), "input": None}


class ByProfile(Section, Generic[T]):
    """A value under each profile."""

    quick: T
    full: T


def _form(value: object) -> str:
    return "[by profile]" if isinstance(value, Mapping | ByProfile) else "[value]"


class PerProfile:
    """`PerProfile[int]` is one value for both profiles, or one for each. An error is about the form that was used."""

    def __class_getitem__(cls, kind: Any) -> Any:  # noqa: ANN401 (any type)
        forms = Annotated[kind, Tag("[value]")] | Annotated[ByProfile[kind], Tag("[by profile]")]
        return Annotated[forms, Discriminator(_form)]


def each_profile(value: T | ByProfile[T]) -> list[T]:
    """Return the values of a setting under the profiles; one value if it is the same for both."""
    return [value.quick, value.full] if isinstance(value, ByProfile) else [value]


def value_at(value: T | ByProfile[T], profile: Profile) -> T:
    """Return the value of a setting under a profile."""
    return getattr(value, profile) if isinstance(value, ByProfile) else value


def resolve(data: Any, profile: str) -> Any:  # noqa: ANN401 (settings as plain data)
    """Return the settings under a profile: each `{quick: ..., full: ...}` is replaced by its value."""
    if isinstance(data, Mapping):
        if set(data) == set(PROFILES):
            return data[profile]
        return {key: resolve(value, profile) for key, value in data.items()}
    return data


MISSING_KEY = "this key is missing"
UNKNOWN_KEY = "unknown_key"  # the type of pydantic's error


def first_problem(error: ValidationError) -> tuple[list[str], str]:
    """Return the key path and the reason of the first error that pydantic found."""
    return describe_problem(error.errors(include_url=False)[0])


def describe_problem(problem: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return the key path and the reason of one of pydantic's errors."""
    place = [str(part) for part in problem["loc"] if "[" not in str(part)]  # "list[int]" is a type, not a key
    kind, found = problem["type"], problem.get("input")
    if kind == UNKNOWN_KEY:
        return place, problem["msg"]
    if kind == "missing":
        return place, MISSING_KEY
    if kind == "value_error":
        return place, str(problem["ctx"]["error"])
    if kind == "model_type":
        by_profile = problem["ctx"]["class_name"].startswith("ByProfile")
        wanted = "one value per profile, such as {quick: 2, full: 20}" if by_profile else "a mapping of keys to values"
        return place, f"it must be {wanted}, but it is {shown(found)}"
    reason = problem["msg"][0].lower() + problem["msg"][1:]
    return place, f"{reason}, but it is {shown(found)}"


def key_path(place: Sequence[str]) -> str:
    """Return the path of a key with dots, without line breaks and long keys."""
    return ".".join(key if key.isprintable() and len(key) <= LONGEST else shown(key) for key in place)


def shown(value: object) -> str:
    """Return a value as one short line of text, even if it is large, deep or recursive."""
    shortened = Repr()
    shortened.maxlevel, shortened.maxstring, shortened.maxother, shortened.maxlong = 2, LONGEST, LONGEST, LONGEST
    text = shortened.repr(value)
    return text if len(text) <= 2 * LONGEST else f"{text[: 2 * LONGEST]}..."
