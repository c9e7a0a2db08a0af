"""Straight lines in latent space from one real image to another."""

from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.core.errors import TriptychError
from triptych.data.dequantization import LEVELS
from triptych.evaluation.context import Evaluation
from triptych.evaluation.flow.inference import encode

PAIRS, POINTS = 3, 10


@dataclass(frozen=True)
class Traversals:
    """Pairs of test images, and the images of points on the line between their latents."""

    images: Tensor
    """The two ends of each line, uint8 (pairs, 2, h, w)."""
    points: Tensor
    """The decoded points, 8-bit levels (pairs, points, h, w)."""
    labels: list[tuple[int, int]]
    """The labels of the two ends."""

    @property
    def end_error(self) -> float:
        """The largest difference between the first or last point and its test image, in 8-bit levels."""
        return float((self.points[:, [0, -1]].float() - self.images.float()).abs().max())


@torch.no_grad()
def traversals(evaluation: Evaluation) -> Traversals:
    """Return lines between the latents of pairs of test images with different digits.

    Raises TriptychError if the test images have too few classes.
    """
    test = evaluation.splits["test"].pixels
    labels = evaluation.labels("test")
    pairs = _pairs(labels)
    images = torch.stack([test[list(pair)] for pair in pairs])
    latents = encode(evaluation.family, images.flatten(0, 1))
    first, second = latents.view(len(images), 2, -1).unbind(1)
    along = torch.linspace(0, 1, POINTS, device=first.device)[:, None]
    lines = first[:, None] * (1 - along) + second[:, None] * along
    points = evaluation.family.decode(lines.flatten(0, 1)) * (LEVELS - 1)
    points = points.round().view(len(images), POINTS, *images.shape[2:])
    return Traversals(images.cpu(), points.cpu(), [(int(labels[one]), int(labels[other])) for one, other in pairs])


def _pairs(labels: Tensor) -> list[tuple[int, int]]:
    """Return pairs of image indices, spread over the split, such that no class occurs twice."""
    order = torch.linspace(0, len(labels) - 1, min(len(labels), 20 * PAIRS)).round().long().tolist()
    first_of_class: dict[int, int] = {}
    for index in order:
        first_of_class.setdefault(int(labels[index]), index)
    if len(first_of_class) < 2 * PAIRS:
        raise TriptychError(
            f"the test images have too few classes for {PAIRS} pairs of different digits: a traversal needs a test set "
            f"with at least {2 * PAIRS} classes"
        )
    chosen = list(first_of_class.values())[: 2 * PAIRS]
    return list(zip(chosen[::2], chosen[1::2], strict=True))
