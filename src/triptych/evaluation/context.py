"""What a family's evaluation is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from triptych.models.base import Family
from triptych.training.checkpoint import History
from triptych.training.images import HeldOutImages

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Evaluation:
    """A trained family, held-out images by split, and the way it took."""

    family: Family
    splits: Mapping[str, HeldOutImages]
    history: History
    stages: Mapping[int, Tensor]
    """By epoch: images (n, 28, 28) in [0, 1] from the same latents, before, half way through and after training."""
    noise: torch.Generator
    """For whatever else has to be drawn, seeded for this experiment."""
    folder: Path
    """Where pictures go."""
