"""The trained model, its data and its settings, as the stage `evaluate` passes them to measures and pictures."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from triptych.evaluation.settings import Likelihood
from triptych.evaluation.uint8_images import to_uint8
from triptych.figures.image_grids import SHEET_COLUMNS, SHEET_IMAGES, image_grids
from triptych.figures.style import save_images
from triptych.training.family import Family
from triptych.training.history import History
from triptych.training.images import HeldOutImages
from triptych.training.reproducible import generator
from triptych.training.weights import load_into


def shown_latents(family: Family, seed: int) -> Tensor:
    """Return the latents (25, latent) of the samples in all pictures of an experiment."""
    return family.draw_latents(SHEET_IMAGES, generator(seed, "shown samples"))


def at_epoch(epoch: int) -> str:
    """Return the heading of a picture that shows a model after this epoch."""
    return f"after epoch {epoch}" if epoch else "before training"


def ends(labels: Tensor, rows: int) -> list[tuple[int, int]]:
    """Return the indices of the first and the last image of each row, from the labels (n,) of images.

    The two are of different classes, and all classes are used in turn. If there is only one class, both are of it.
    """
    classes = labels.unique().tolist()
    members = {label: (labels == label).nonzero().squeeze(1).tolist() for label in classes}
    turns = [classes[turn % len(classes)] for turn in range(2 * rows)]
    found = [members[label][turns[:turn].count(label) % len(members[label])] for turn, label in enumerate(turns)]
    return list(zip(found[::2], found[1::2], strict=True))


def label_texts(labels: Tensor | None, pair: tuple[int, int]) -> tuple[str, str]:
    """Return the labels of two images, or empty texts if no labels are known."""
    return ("", "") if labels is None else (str(int(labels[pair[0]])), str(int(labels[pair[1]])))


@dataclass(frozen=True)
class Evaluation:
    """A trained family with its images, history and snapshots."""

    name: str
    family: Family
    splits: Mapping[str, HeldOutImages]
    """The images of `valid` and `test`."""
    training: HeldOutImages
    """The first training images."""
    history: History
    snapshots: Mapping[int, Path]
    """Weights of the averaged networks by epoch, in ascending order, without the end of training."""
    weights: Path
    """Final weights of all networks."""
    shown: Tensor
    """Latents of the samples in pictures, from `shown_latents`."""
    classify: Callable[[Tensor], Tensor] | None
    """Returns the labels (n,) that the reference's classifier assigns to uint8 images (n, ...).

    None if it knows other classes than those of the images."""
    score: Callable[..., dict[str, Any]]
    """Returns FID, KID and IS, with their protocol, of uint8 images (n, ...) against the reference's real images.

    The keyword `intervals` says whether to include standard errors and intervals."""
    fidelity: Mapping[str, Any]
    """All fidelity measures of the final model's samples, with intervals."""
    fidelity_samples: int
    """The number of images for `score`."""
    likelihood: Likelihood
    epoch_updates: int
    """Updates per epoch of training."""
    seed: int
    partial_results: Path
    """A folder for parts of a long measurement; it is kept until the evaluation is complete."""
    folder: Path
    """The folder for pictures."""

    def labels(self, split: str) -> Tensor | None:
        """Return the labels (n,) of a split's images: of the data set, or else of the classifier; None without both."""
        images = self.splits[split]
        if images.data.has_labels(split):
            return torch.from_numpy(images.data.labels(split)).long()
        return self.classify(images.eight_bit).cpu() if self.classify else None

    def at_epochs(self, function: Callable[[Family], Tensor], epochs: Collection[int]) -> dict[int, Tensor]:
        """Return `function(family)` by epoch, with the weights after each epoch. Afterwards, load the final weights."""
        device = next(self.family.networks.parameters()).device
        found = {}
        for epoch in epochs:
            if epoch in self.snapshots:
                load_into(self.family.averaged, self.snapshots[epoch], device)
            else:
                load_into(self.family.networks, self.weights, device)
            with torch.no_grad():
                found[epoch] = function(self.family)
        load_into(self.family.networks, self.weights, device)
        return found

    @property
    def last(self) -> int:
        """The last epoch of training."""
        return int(self.history[-1]["epoch"])

    @property
    def shown_epochs(self) -> list[int]:
        """Three epochs for pictures: the first snapshot, the one nearest to half of the training, and the end."""
        middle = min(self.snapshots, key=lambda epoch: abs(epoch - self.last / 2))
        return sorted({min(self.snapshots), middle, self.last})

    def samples(self) -> dict[int, Tensor]:
        """Return images (25, ...) in [0, 1] from the same latents, by epoch."""
        return self.at_epochs(lambda family: family.sample(self.shown), self.shown_epochs)

    def draw_samples(self, picture: str, title: str, heading: Callable[[int], str] = at_epoch) -> None:
        """Draw the samples of each epoch, below its heading, to `<picture>.png`."""
        panels = [(heading(epoch), to_uint8(images, "samples").numpy()) for epoch, images in self.samples().items()]
        figure = image_grids(panels, SHEET_COLUMNS, title)
        save_images(figure, self.folder / f"{picture}.png", colour=panels[0][1].ndim == 4)
