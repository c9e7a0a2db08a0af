"""The networks of the couplings, which map the part that stays to the parameters for the other part."""

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, relu

from triptych.models.common.linear import Linear, perceptron


def multilayer_perceptron(sizes: list[int], *, zero: bool) -> nn.Sequential:
    """Return linear layers with ReLU between them, from `sizes[0]` to `sizes[-1]`.

    If `zero`, weights and biases of the last layer start at zero.
    """
    hidden = perceptron(sizes[:-1], nn.ReLU)
    last = Linear(sizes[-2], sizes[-1])
    return nn.Sequential(*hidden, _start_at_zero(last) if zero else last)


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


class GatedNetwork(nn.Sequential):
    """Gated residual blocks between two convolutions, the last of which starts at zero.

    It maps (n, inputs, h, w) to (n, outputs, h, w). A layer normalisation over the channels follows each block (Ho et
    al. 2019, Flow++, there with attention).
    """

    def __init__(self, inputs: int, outputs: int, channels: int, blocks: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, channels, 3, padding=1),
            *(part for _ in range(blocks) for part in (GatedBlock(channels), ChannelNorm(channels))),
            ConcatELU(),
            _start_at_zero(nn.Conv2d(2 * channels, outputs, 3, padding=1)),
        )


class GatedBlock(nn.Module):
    """x + v sigmoid(g), where v and g are the two halves of a residual function of x (Salimans et al. 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            ConcatELU(),
            nn.Conv2d(2 * channels, channels, 3, padding=1),
            ConcatELU(),
            nn.Conv2d(2 * channels, 2 * channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.residual(x).chunk(2, dim=1)
        return x + value * gate.sigmoid()


class ConcatELU(nn.Module):
    """Map (n, c, ...) to (n, 2 c, ...): elu(x), then elu(-x)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([elu(x), elu(-x)], 1)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (n, c, h, w), at each pixel on its own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def _start_at_zero(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """Return the layer after its weights and biases have been set to zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
