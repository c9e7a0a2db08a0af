"""Straight lines through the latents, from one real image to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from triptych.core.errors import TriptychError
from triptych.data.dequantization import LEVELS, dequantize

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.evaluation.context import Evaluation

PAIRS, POINTS = 3, 10
MIDDLE = 0.5  # of a level: noise that the inverse returns to the same level, whatever it rounds


@dataclass(frozen=True)
class Traversals:
    """`images` are the ends as they are, uint8 (pairs, 2, h, w); `points` what the flow makes of the lines."""

    images: Tensor
    points: Tensor
    """(pairs, points, h, w), 8-bit levels."""
    labels: list[tuple[int, int]]
    """Of the ends."""

    @property
    def end_error(self) -> float:
        """The largest difference between an end and its image, in 8-bit levels."""
        return float((self.points[:, [0, -1]].float() - self.images.float()).abs().max())


@torch.no_grad()
def traversals(evaluation: Evaluation) -> Traversals:
    """Lines between the latents of pairs of test images of different digits."""
    test = evaluation.splits["test"].pixels
    labels = evaluation.labels("test")
    pairs = _pairs(labels)
    images = torch.stack([test[list(pair)] for pair in pairs])
    flow = evaluation.family.continuous
    latents, _ = flow(dequantize(images.flatten(0, 1).float(), MIDDLE))
    first, second = latents.view(len(images), 2, -1).unbind(1)
    along = torch.linspace(0, 1, POINTS, device=first.device)[:, None]
    lines = first[:, None] * (1 - along) + second[:, None] * along
    points = evaluation.family.decode(lines.flatten(0, 1)) * (LEVELS - 1)
    points = points.round().view(len(images), POINTS, *images.shape[2:])
    return Traversals(images.cpu(), points.cpu(), [(int(labels[one]), int(labels[other])) for one, other in pairs])


def _pairs(labels: Tensor) -> list[tuple[int, int]]:
    """Indices of images, spread over the split: each with the next one of another class that is not taken yet."""
    pairs: list[tuple[int, int]] = []
    order = torch.linspace(0, len(labels) - 1, min(len(labels), 20 * PAIRS)).round().long().tolist()
    waiting, seen = dict.fromkeys(order), set()
    for index in order:
        label = int(labels[index])
        if index not in waiting or label in seen:
            continue
        del waiting[index]
        partner = next((other for other in waiting if int(labels[other]) not in seen | {label}), None)
        if partner is None:
            break
        del waiting[partner]
        seen |= {label, int(labels[partner])}
        pairs.append((index, partner))
        if len(pairs) == PAIRS:
            return pairs
    raise TriptychError(
        f"the test images that were looked at show too few classes for {PAIRS} pairs of different digits: "
        "a traversal needs a test set of at least six classes"
    )
