"""Coupling layers, in which one part of the dimensions stays and determines how the other part changes."""

import torch
from torch import Tensor, nn

from triptych.models.flow.transform import Transform


def checkerboard(image_shape: tuple[int, ...]) -> Tensor:
    """Return the indices (D,) of the flattened pixels, those with the colour of the first square first.

    >>> checkerboard((2, 3))
    tensor([0, 2, 4, 1, 3, 5])
    """
    return _colours(image_shape).expand(image_shape).flatten().argsort(stable=True)


def _colours(image_shape: tuple[int, ...]) -> Tensor:
    """Return the colours (rows, columns) of a checkerboard, 0 for the first square and 1 for its neighbours."""
    rows, columns = image_shape[-2:]
    return (torch.arange(rows)[:, None] + torch.arange(columns)) % 2


def halves(size: int) -> tuple[int, int]:
    """Return the sizes of two halves; if `size` is odd, the first is larger by one.

    >>> halves(5)
    (3, 2)
    """
    return size - size // 2, size // 2


class Coupling(Transform):
    """Split dimension 1 into two parts of the given sizes. With `parity` 0 the first part stays, else the second.

    The network maps the part that stays to the parameters for the other part. This is the same function as with a
    masked input, at half of the arithmetic. For checkerboard masks, the pixels are first put into the order that
    `checkerboard` returns, so that each part is contiguous in memory.
    """

    def __init__(self, sizes: tuple[int, int], parity: int, network: nn.Module) -> None:
        super().__init__()
        self.sizes, self.parity, self.network = sizes, parity, network

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the part that stays and the part that changes."""
        first, second = x.split(self.sizes, 1)
        return (second, first) if self.parity else (first, second)

    def _join(self, kept: Tensor, changed: Tensor) -> Tensor:
        return torch.cat((changed, kept) if self.parity else (kept, changed), 1)


class AdditiveCoupling(Coupling):
    """z_b = x_b + t(x_a), with log det 0 (Dinh et al. 2015, NICE, section 3.2). The network is t: (n, a) to (n, b)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = self._split(x)
        return self._join(kept, changed + self.network(kept).to(x.dtype)), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = self._split(z)
        return self._join(kept, changed - self.network(kept).to(z.dtype)), z.new_zeros(len(z))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the network's last bias so that the part that changes has mean 0."""
        last = list(self.network.modules())[-1]
        last.bias.sub_(self._split(self(x)[0])[1].mean(0))


class AffineCoupling(Coupling):
    """z_b = x_b exp(s(x_a)) + t(x_a) (Dinh et al. 2017, RealNVP, equations 4 and 5).

    As in the paper's code, s is the tanh of the network's output times a learned factor. Without the factor no layer
    can scale by more than e, and training is far slower. The network maps (n, a, ...) to (n, 2 b, ...): first s before
    tanh, then t. If its last layer starts at zero, the coupling starts as the identity.
    """

    def __init__(self, sizes: tuple[int, int], parity: int, network: nn.Module, factor_shape: tuple[int, ...]) -> None:
        """Set up the coupling; `factor_shape` (b, ...) broadcasts against the part of one example that changes."""
        super().__init__(sizes, parity, network)
        self.factor = nn.Parameter(torch.ones(factor_shape))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and log |det dz/dx| = sum of s, from x (n, d, ...) and a context (n, c, ...) for the network."""
        kept, changed = self._split(x)
        log_scale, shift = self._scale_and_shift(kept, context)
        return self._join(kept, changed * log_scale.exp() + shift), log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kept, changed = self._split(z)
        log_scale, shift = self._scale_and_shift(kept, context)
        return self._join(kept, (changed - shift) * (-log_scale).exp()), -log_scale.flatten(1).sum(1)

    def _scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        inputs = kept if context is None else torch.cat([kept, context], 1)
        raw_scale, shift = self.network(inputs).to(kept.dtype).chunk(2, dim=1)
        return raw_scale.tanh() * self.factor, shift


class CheckerboardCoupling(AffineCoupling):
    """An affine coupling on images (n, c, h, w) in which the pixels of one colour of a checkerboard stay.

    With `parity` 0 the pixels with the colour of the first square stay, else the others. Both parts have the shape of
    the image, with zeros for the pixels of the other part, so that the network can be convolutional.
    """

    def __init__(self, shape: tuple[int, int, int], parity: int, network: nn.Module) -> None:
        """Set up the coupling for images of `shape` (c, h, w), with one factor per channel."""
        channels = shape[0]
        super().__init__((channels, channels), parity, network, (channels, 1, 1))
        mask = (_colours(shape) == parity).to(torch.get_default_dtype())
        self.register_buffer("mask", mask, persistent=False)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * self.mask, x * (1 - self.mask)

    def _join(self, kept: Tensor, changed: Tensor) -> Tensor:
        return kept + changed

    def _scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        log_scale, shift = super()._scale_and_shift(kept, context)
        return log_scale * (1 - self.mask), shift * (1 - self.mask)
