"""The networks inside couplings."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu

from triptych.models.linear import Linear


def multilayer_perceptron(sizes: list[int], *, zero: bool) -> nn.Sequential:
    """Linear layers with ReLU between them, from sizes[0] to sizes[-1]; the last one starts at zero where asked."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [Linear(inputs, outputs), nn.ReLU()]
    last = Linear(sizes[-2], sizes[-1])
    return nn.Sequential(*layers, start_at_zero(last) if zero else last)


def start_at_zero(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """The layer, with weights and biases of zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))), the second convolution starting at zero (He et al. 2016; Zhang et al. 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = start_at_zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(relu(self.first(relu(x))))


class ResidualNetwork(nn.Sequential):
    """Images (n, inputs, h, w) to (n, outputs, h, w): a convolution, residual blocks, and one that starts at zero."""

    def __init__(self, inputs: int, outputs: int, channels: int, blocks: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, channels, 3, padding=1),
            *(ResidualBlock(channels) for _ in range(blocks)),
            nn.ReLU(),
            start_at_zero(nn.Conv2d(channels, outputs, 3, padding=1)),
        )
