"""What a family's evaluation is given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from triptych.training.family import Family
from triptych.training.history import History
from triptych.training.images import HeldOutImages
from triptych.training.reproducible import generator
from triptych.training.weights import load_into

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.evaluation.settings import Likelihood

SHOWN, COLUMNS = 25, 5  # samples in a picture


def shown_latents(family: Family, seed: int) -> Tensor:
    """The latents (25, latent) of the samples that pictures of an experiment show, the same at every time."""
    return family.draw_latents(SHOWN, generator(seed, "shown samples"))


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
    """What samples are made by, by epoch, in order, before the end of training."""
    weights: Path
    """The final weights, of everything."""
    shown: Tensor
    """Latents of the samples that pictures show."""
    classify: Callable[[Tensor], Tensor]
    """Labels (n,) that the reference's classifier gives to uint8 images (n, ...)."""
    score: Callable[[Tensor], dict[str, Any]]
    """FID, KID and IS, each with its protocol, of uint8 images (n, ...) against the reference's real ones."""
    samples_to_judge: int
    """How many images a score is of."""
    likelihood: Likelihood
    epoch_updates: int
    """Updates in an epoch of its training."""
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

    def over_training(self, show: Callable[[Family], Tensor], epochs: Collection[int]) -> dict[int, Tensor]:
        """What `show` makes of the family after these epochs; afterwards it has its final weights."""
        device = next(self.family.networks.parameters()).device
        seen = {}
        for epoch in epochs:
            if epoch in self.snapshots:
                load_into(self.family.averaged, self.snapshots[epoch], device)
            else:
                load_into(self.family.networks, self.weights, device)
            with torch.no_grad():
                seen[epoch] = show(self.family)
        load_into(self.family.networks, self.weights, device)
        return seen

    @property
    def last(self) -> int:
        """The epoch at the end of training."""
        return int(self.history[-1]["epoch"])

    @property
    def stages(self) -> list[int]:
        """Three epochs for pictures: the first snapshot, the one nearest to half way, and the end."""
        middle = min(self.snapshots, key=lambda epoch: abs(epoch - self.last / 2))
        return sorted({min(self.snapshots), middle, self.last})

    def samples(self) -> dict[int, Tensor]:
        """Images (n, ...) in [0, 1] from the same latents, by epoch."""
        return self.over_training(lambda family: family.sample(self.shown), self.stages)


def at_epoch(epoch: int) -> str:
    """The heading of what a model gives at that time."""
    return f"after epoch {epoch}" if epoch else "before training"
