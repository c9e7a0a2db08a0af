"""Pydantic models of the JSON files that stages exchange: manifests, results and the checkpoint index.

A file may hold further keys. A missing key or a wrong type means that the file is damaged.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triptych.core.errors import TriptychError
from triptych.core.json_files import MAKE_AGAIN, Document, read_json
from triptych.core.settings_types import first_problem, key_path

Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=1, le=1024)]
JsonShape = Annotated[list[Side], Field(min_length=2, max_length=3)]


class JsonSchema(BaseModel):
    """The keys of a file that its readers need; no value is converted."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)


def read_document(path: Path, schema: type[JsonSchema]) -> Document:
    """Return the content of a JSON file. Raises TriptychError if the file is missing or does not fit the schema."""
    data = read_json(path)
    try:
        schema.model_validate(data)
    except ValidationError as error:
        place, reason = first_problem(error)
        problem = ": ".join(filter(None, [key_path(place), reason]))
        raise TriptychError(f"{path} is damaged: {problem}; {MAKE_AGAIN}") from None
    return data
