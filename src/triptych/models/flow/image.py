"""Shapes of images: transforms that move numbers about, and the split of a multi-scale flow."""

from __future__ import annotations

import torch
from torch import Tensor

from triptych.core.errors import TriptychError
from triptych.models.flow.transform import Transform

Shape = tuple[int, int, int]  # channels, rows, columns


class Reshape(Transform):
    """(n, *inside) to (n, *outside)."""

    def __init__(self, inside: tuple[int, ...], outside: tuple[int, ...]) -> None:
        super().__init__()
        self.inside, self.outside = inside, outside

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.reshape(-1, *self.outside), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z.reshape(-1, *self.inside), z.new_zeros(len(z))


class Reorder(Transform):
    """(n, d, ...) with dimension 1 in another order: place i of z is place `order[i]` of x."""

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("back", order.argsort(), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.index_select(1, self.order), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z.index_select(1, self.back), z.new_zeros(len(z))


class Squeeze(Transform):
    """(n, c, h, w) to (n, 4 c, h / 2, w / 2): each square of 2 by 2 becomes channels (Dinh et al. 2017, section 3.6).

    Of one channel the new ones are top left, top right, bottom left, bottom right.
    """

    def __init__(self, shape: Shape) -> None:
        """`shape` is that of one image coming in. Raises TriptychError if its sides are not even."""
        super().__init__()
        channels, rows, columns = shape
        if rows % 2 or columns % 2:
            raise TriptychError(
                f"an image of {rows} by {columns} cannot be squeezed: a multi-scale flow needs sides that halve evenly"
            )
        self.squeezed: Shape = (4 * channels, rows // 2, columns // 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.nn.functional.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return torch.nn.functional.pixel_shuffle(z, 2), z.new_zeros(len(z))


class Split(Transform):
    """The first half of the channels goes on through `inner`, the second is done (Dinh et al. 2017, section 3.6).

    (n, c, h, w) to the same shape; `inner` keeps the shape (n, c / 2, h, w) of its half.
    """

    def __init__(self, inner: Transform) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        going, done = x.chunk(2, 1)
        z, log_det = self.inner(going)
        return torch.cat([z, done], 1), log_det

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        going, done = z.chunk(2, 1)
        x, log_det = self.inner.inverse(going)
        return torch.cat([x, done], 1), log_det

    def initialise(self, x: Tensor) -> None:
        self.inner.initialise(x.chunk(2, 1)[0])
