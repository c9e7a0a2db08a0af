"""Two small classifiers: a convolutional network for digits, and a residual network for photographs."""

from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.functional import interpolate

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST, WEIGHTS
from triptych.core.hashing import require_sha256
from triptych.core.json_files import MAKE_AGAIN
from triptych.core.json_schemas import JsonSchema, read_document
from triptych.data.image_shapes import CLASSES
from triptych.models.classifier.settings import Model
from triptych.training.reproducible import seeded
from triptych.training.weights import load_into

CHUNK = 100  # images per forward pass: larger parts leave a CPU's cache


class ClassifierSettings(JsonSchema):
    """The settings of a classifier's network."""

    model: dict[str, Any]


class ClassifierManifest(JsonSchema):
    """The manifest of a trained classifier."""

    extractor: str
    settings: ClassifierSettings
    weights_sha256: str


class ClassifierNetwork(nn.Module):
    """A body that maps images to features, and a head that maps features to logits."""

    body: nn.Module
    head: nn.Module
    grey: ClassVar[bool]
    """Whether it is for grey images (n, h, w), or for colour images (n, 3, h, w)."""
    side: ClassVar[int]
    """Height and width of the body's input; images of another size are resized."""

    def scaled(self, pixels: Tensor) -> Tensor:
        """Return the body's input from float images (n, channels, side, side) of 0 to 255."""
        raise NotImplementedError

    def resized(self, pixels: Tensor) -> Tensor:
        """Return float images (n, channels, side, side) of 0 to 255 from 8-bit images (n, ...)."""
        images = pixels.float()[:, None] if self.grey else pixels.float()
        if images.shape[-1] == self.side:
            return images
        return interpolate(images, (self.side, self.side), mode="bilinear", antialias=True)

    def features(self, pixels: Tensor) -> Tensor:
        """Return the last hidden activations (n, features) for 8-bit images (n, ...)."""
        return self.body(self.scaled(self.resized(pixels)))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (n, 10) for 8-bit images (n, ...)."""
        return self.head(self.features(pixels))

    @torch.no_grad()
    def label(self, pixels: Tensor) -> Tensor:
        """Return the most probable class (n,) of 8-bit images (n, ...), with the network in evaluation mode."""
        self.eval()
        return torch.cat([self(part).argmax(1) for part in pixels.split(CHUNK)])


class DigitClassifier(ClassifierNetwork):
    """For grey images: two convolutions with pooling, and one hidden layer of features."""

    grey, side = True, 28

    def __init__(self, settings: Model) -> None:
        super().__init__()
        first, second = settings.channels
        self.body = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(first, second, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
            nn.Flatten(), nn.Linear(second * 7 * 7, settings.features), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(settings.features, CLASSES))
        self.to(memory_format=torch.channels_last)  # twice as fast on a CPU

    def scaled(self, pixels: Tensor) -> Tensor:
        return pixels / 255


def _convolution(inputs: int, outputs: int, *, pool: bool = False) -> nn.Sequential:
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.MaxPool2d(2) if pool else nn.Identity()]
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs), nn.ReLU())


class ResidualBlock(nn.Module):
    """The input plus two convolutions of it (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(_convolution(channels, channels), _convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class LargestActivations(nn.Module):
    """The largest activation of each channel over the image: (n, c, h, w) to (n, c).

    `AdaptiveMaxPool2d` computes the same, but its gradient on a GPU is not deterministic.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3))


class ResidualClassifier(ClassifierNetwork):
    """For colour images: a ResNet of eight convolutions, at full size, a half, a quarter and an eighth of it.

    Its features are the largest activations of the last channels. The layout follows Page, "How to train your ResNet"
    (2018), since it is small and trains fast.
    """

    grey, side = False, 32

    def __init__(self, settings: Model) -> None:
        super().__init__()
        whole, half, quarter, eighth = settings.channels
        self.body = nn.Sequential(
            _convolution(3, whole),
            _convolution(whole, half, pool=True), ResidualBlock(half),
            _convolution(half, quarter, pool=True),
            _convolution(quarter, eighth, pool=True), ResidualBlock(eighth),
            LargestActivations(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(eighth, CLASSES))
        self.to(memory_format=torch.channels_last)

    def scaled(self, pixels: Tensor) -> Tensor:
        return (pixels / 127.5 - 1).contiguous(memory_format=torch.channels_last)


NETWORKS = {"convolutional": DigitClassifier, "residual": ResidualClassifier}


def build_classifier(settings: Model) -> ClassifierNetwork:
    """Return a new network, initialised from torch's global generator. `channels` must be resolved for one profile."""
    return NETWORKS[settings.architecture](settings)


def load_classifier(folder: Path, device: torch.device) -> ClassifierNetwork:
    """Return the trained classifier of a folder, on the device and in evaluation mode.

    Raises TriptychError if the folder is missing or damaged.
    """
    path = folder / MANIFEST
    manifest = read_document(path, ClassifierManifest)
    try:
        settings = Model.model_validate(manifest["settings"]["model"])
    except ValidationError:
        raise TriptychError(f"{path} is damaged: settings.model is not valid; {MAKE_AGAIN}") from None
    with seeded(0, "overwritten by the weights"):
        network = build_classifier(settings)
    require_sha256(folder / WEIGHTS, manifest["weights_sha256"], MAKE_AGAIN)
    load_into(network, folder / WEIGHTS, device)
    return network.eval()
