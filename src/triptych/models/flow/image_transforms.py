"""Transforms that only move the numbers of an image, and the split of a multi-scale flow."""

import torch
from torch import Tensor

from triptych.core.errors import TriptychError
from triptych.models.flow.transform import Transform

MapShape = tuple[int, int, int]  # channels, rows, columns


class Reshape(Transform):
    """Reshape (n, *inside) to (n, *outside)."""

    def __init__(self, inside: tuple[int, ...], outside: tuple[int, ...]) -> None:
        super().__init__()
        self.inside, self.outside = inside, outside

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.reshape(-1, *self.outside), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z.reshape(-1, *self.inside), z.new_zeros(len(z))


class Reorder(Transform):
    """Permute dimension 1 of (n, d, ...): z[:, i] is x[:, order[i]]."""

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", order.argsort(), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.index_select(1, self.order), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z.index_select(1, self.back), z.new_zeros(len(z))


class Squeeze(Transform):
    """Turn each square of 2 by 2 pixels into channels: (n, c, h, w) to (n, 4 c, h / 2, w / 2).

    One channel becomes, in this order: top left, top right, bottom left, bottom right (Dinh et al. 2017, section 3.6).

    >>> import torch
    >>> Squeeze((1, 2, 2))(torch.tensor([[[[1, 2], [3, 4]]]]))[0].flatten()
    tensor([1, 2, 3, 4])
    """

    def __init__(self, shape: MapShape) -> None:
        """Set up the transform for images of this shape. Raises TriptychError if a side is odd."""
        super().__init__()
        channels, rows, columns = shape
        if rows % 2 or columns % 2:
            raise TriptychError(
                f"an image of {rows} by {columns} cannot be squeezed: a multi-scale flow needs sides that are even at "
                "each scale"
            )
        self.squeezed: MapShape = (4 * channels, rows // 2, columns // 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.nn.functional.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return torch.nn.functional.pixel_shuffle(z, 2), z.new_zeros(len(z))


class Split(Transform):
    """Apply `inner` to the first half of the channels and leave the second half (Dinh et al. 2017, section 3.6).

    The shape (n, c, h, w) stays; `inner` keeps the shape (n, c / 2, h, w).
    """

    def __init__(self, inner: Transform) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.chunk(2, 1)
        z, log_det = self.inner(first)
        return torch.cat([z, second], 1), log_det

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        first, second = z.chunk(2, 1)
        x, log_det = self.inner.inverse(first)
        return torch.cat([x, second], 1), log_det

    def initialise(self, x: Tensor) -> None:
        self.inner.initialise(x.chunk(2, 1)[0])
