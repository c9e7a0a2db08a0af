"""Straight lines in latent space from one real image to another."""

from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.data.dequantization import LEVELS
from triptych.evaluation.context import Evaluation, ends, label_texts
from triptych.evaluation.flow.inference import encode

PAIRS, POINTS = 3, 10


@dataclass(frozen=True)
class Traversals:
    """Pairs of test images, and the images of points on the line between their latents."""

    images: Tensor
    """The two ends of each line, uint8 (pairs, 2, h, w)."""
    points: Tensor
    """The decoded points, 8-bit levels (pairs, points, h, w)."""
    labels: list[tuple[str, str]]
    """The labels of the two ends, empty if they are unknown."""

    @property
    def end_error(self) -> float:
        """The largest difference between the first or last point and its test image, in 8-bit levels."""
        return float((self.points[:, [0, -1]].float() - self.images.float()).abs().max())


@torch.no_grad()
def traversals(evaluation: Evaluation) -> Traversals:
    """Return lines between the latents of pairs of test images, of different classes if classes are known."""
    test = evaluation.splits["test"].pixels
    labels = evaluation.labels("test")
    pairs = _pairs(len(test), labels)
    images = torch.stack([test[list(pair)] for pair in pairs])
    latents = encode(evaluation.family, images.flatten(0, 1))
    first, second = latents.view(len(images), 2, -1).unbind(1)
    along = torch.linspace(0, 1, POINTS, device=first.device)[:, None]
    lines = first[:, None] * (1 - along) + second[:, None] * along
    points = evaluation.family.decode(lines.flatten(0, 1)) * (LEVELS - 1)
    points = points.round().view(len(images), POINTS, *images.shape[2:])
    return Traversals(images.cpu(), points.cpu(), [label_texts(labels, pair) for pair in pairs])


def _pairs(count: int, labels: Tensor | None) -> list[tuple[int, int]]:
    """Return pairs of image indices such that no class occurs twice.

    With fewer classes, the two of a pair are of different classes. Without labels, the images are at equal distances.
    """
    if labels is None:
        chosen = torch.linspace(0, count - 1, 2 * PAIRS).round().long().tolist()
        return list(zip(chosen[::2], chosen[1::2], strict=True))
    order = torch.linspace(0, count - 1, min(count, 20 * PAIRS)).round().long()
    first_of_class: dict[int, int] = {}
    for index in order.tolist():
        first_of_class.setdefault(int(labels[index]), index)
    chosen = list(first_of_class.values())[: 2 * PAIRS]
    if len(chosen) == 2 * PAIRS:
        return list(zip(chosen[::2], chosen[1::2], strict=True))
    return [(int(order[one]), int(order[other])) for one, other in ends(labels[order], PAIRS)]
