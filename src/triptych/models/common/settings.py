"""What the settings of every family's networks tell the rest of the program."""

from typing import ClassVar

from triptych.core.schema import Section


class FamilySettings(Section):
    """The `model:` section of an experiment.

    A family derives its own section from this class, and overrides a class variable by another value or by a property.
    """

    pixels: ClassVar[str] = "8-bit"
    """The pixels that the family models: `8-bit`, `binary` or `dequantized`."""
    images: ClassVar[tuple[str, ...]] = ("grey", "colour")
    """The kinds of images that the networks accept."""
    players: ClassVar[tuple[str, ...]] = ("model",)
    """The names of the optimisers."""
    least_batch: ClassVar[int] = 1
    """The smallest batch size."""
    batches_per_step: ClassVar[int] = 1
    """Batches of real images that one update consumes."""
    parallel: ClassVar[bool] = False
    """Whether several processes can share one training run."""
