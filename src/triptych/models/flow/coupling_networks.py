"""The networks inside coupling layers."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu

from triptych.models.common.linear import Linear


def multilayer_perceptron(sizes: list[int], *, zero: bool) -> nn.Sequential:
    """Return linear layers with ReLU between them, from `sizes[0]` to `sizes[-1]`.

    If `zero`, weights and biases of the last layer start at zero.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers += [Linear(inputs, outputs), nn.ReLU()]
    last = Linear(sizes[-2], sizes[-1])
    return nn.Sequential(*layers, _start_at_zero(last) if zero else last)


class ResidualNetwork(nn.Sequential):
    """Convolution, residual blocks and a convolution that starts at zero: (n, inputs, h, w) to (n, outputs, h, w)."""

    def __init__(self, inputs: int, outputs: int, channels: int, blocks: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, channels, 3, padding=1),
            *(ResidualBlock(channels) for _ in range(blocks)),
            nn.ReLU(),
            _start_at_zero(nn.Conv2d(channels, outputs, 3, padding=1)),
        )


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))) (He et al. 2016). The second convolution starts at zero (Zhang et al. 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = _start_at_zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(relu(self.first(relu(x))))


def _start_at_zero(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """Return the layer after its weights and biases have been set to zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
