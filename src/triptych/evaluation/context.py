"""What a family's evaluation is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from triptych.models.base import Family
from triptych.training.checkpoint import History
from triptych.training.images import HeldOutImages
from triptych.training.weights import load_into

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.config import Likelihood


@dataclass(frozen=True)
class Evaluation:
    """A trained family, images by split, and the way it took."""

    name: str
    family: Family
    splits: Mapping[str, HeldOutImages]
    """`valid` and `test`."""
    training: HeldOutImages
    """The first so many training images."""
    history: History
    snapshots: Mapping[int, Path]
    """By epoch, in order: the weights before, half way through and after training."""
    shown: Tensor
    """Latents of the samples that pictures show."""
    classify: Callable[[Tensor], Tensor]
    """Labels (n,) that the reference's classifier gives to uint8 images (n, 28, 28)."""
    likelihood: Likelihood
    seed: int
    workplace: Path
    """A folder for pieces of a long measurement, kept until the evaluation is done."""
    folder: Path
    """Where pictures go."""

    def labels(self, split: str) -> Tensor:
        """Labels (n,) of a split's 8-bit images: the data set's own, or the classifier's where it has none."""
        images = self.splits[split]
        if images.data.has_labels(split):
            return torch.from_numpy(images.data.labels(split)).long()
        return self.classify(images.pixels).cpu()

    def over_training(self, show: Callable[[Family], Tensor]) -> dict[int, Tensor]:
        """What `show` makes of the family at each snapshot, by epoch; the last are the final weights, and stay."""
        device = next(self.family.networks.parameters()).device
        seen = {}
        for epoch, weights in self.snapshots.items():
            load_into(self.family.networks, weights, device)
            with torch.no_grad():
                seen[epoch] = show(self.family)
        return seen

    def samples(self) -> dict[int, Tensor]:
        """Images (n, 28, 28) in [0, 1] from the same latents, by epoch."""
        return self.over_training(lambda family: family.sample(self.shown))


def at_epoch(epoch: int) -> str:
    """The heading of what a model gives at that time."""
    return f"after epoch {epoch}" if epoch else "before training"
