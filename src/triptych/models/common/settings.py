"""The base class of the settings of a family's networks."""

from collections.abc import Collection, Mapping
from itertools import chain
from typing import ClassVar

from triptych.core.settings_types import Section
from triptych.data.image_shapes import Shape


class FamilySettings(Section):
    """The `model:` section of an experiment.

    A family derives its own section from this class, and overrides a class variable by another value or by a property.
    """

    pixels: ClassVar[str] = "8-bit"
    """The pixels that the family models: `8-bit`, `binary` or `dequantized`."""
    players: ClassVar[tuple[str, ...]] = ("model",)
    """The names of the optimisers."""
    least_batch: ClassVar[int] = 1
    """The smallest batch size."""
    batches_per_step: ClassVar[int] = 1
    """Batches of real images that one update consumes."""
    parallel: ClassVar[bool] = False
    """Whether several processes can share one training run."""

    def misfit(self, shape: Shape) -> str:
        """Return why the networks cannot model images of this shape, to follow "but"; an empty string if they can."""
        return ""

    def require_keys(self, by_architecture: Mapping[str, Collection[str]]) -> None:
        """Raise ValueError unless the optional keys that are set are those of `architecture`."""
        for key in chain(*by_architecture.values()):
            belongs, given = key in by_architecture[self.architecture], getattr(self, key) is not None
            if belongs and not given:
                raise ValueError(f"architecture {self.architecture} needs {key}")
            if given and not belongs:
                raise ValueError(f"{key} does not belong to architecture {self.architecture}: remove it")
