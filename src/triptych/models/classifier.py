"""The small convolutional classifier whose features stand in for Inception's on MNIST."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from triptych.training.weights import load_into

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.config import Classifier

CLASSES = 10
CHUNK = 1000  # images at once


class DigitClassifier(nn.Module):
    """Two convolutions with pooling, one hidden layer (the features), ten logits."""

    def __init__(self, settings: Classifier) -> None:
        super().__init__()
        first, second = settings.channels
        self.body = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(second * 7 * 7, settings.features), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(settings.features, CLASSES))

    def features(self, pixels: Tensor) -> Tensor:
        """The hidden layer's activations (n, features) of 8-bit images (n, 28, 28)."""
        return self.body(pixels.float()[:, None] / 255)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (n, 10) of 8-bit images (n, 28, 28)."""
        return self.head(self.features(pixels))

    @torch.no_grad()
    def label(self, pixels: Tensor) -> Tensor:
        """The class (n,) that the network names for each 8-bit image (n, 28, 28), in evaluation mode."""
        self.eval()
        return torch.cat([self(part).argmax(1) for part in pixels.split(CHUNK)])


def load_classifier(folder: Path, settings: Classifier, device: torch.device) -> DigitClassifier:
    """The trained classifier of a folder, in evaluation mode. Refuses one that is missing, damaged or misshapen."""
    network = DigitClassifier(settings)
    load_into(network, folder / "weights.safetensors", device)
    return network.eval()
