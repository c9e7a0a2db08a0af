"""Convolutions whose gradient is differentiated in turn, as a gradient penalty asks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import conv2d


class PenalisedConv2d(nn.Conv2d):
    """nn.Conv2d of stride 1, with derivatives that are convolutions again, of any order.

    Where PyTorch differentiates a convolution twice, it forms gradients by the weights as convolutions with the images
    for filters, which libraries are slow at. Here they are what a library calls a weight gradient at every order, as in
    the code of Karras et al. 2021.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        kind = input.device.type
        if torch.is_autocast_enabled(kind):  # derivatives run with and without autocast: one type for all of them
            input, weight = (value.to(torch.get_autocast_dtype(kind)) for value in (input, weight))
        found = _Convolve.apply(input, weight, self.padding[0])
        return found if bias is None else found + bias.to(found.dtype).view(-1, 1, 1)


class _Convolve(Function):
    """Images (n, a, h, w) with filters (b, a, k, k)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, filters: Tensor, padding: int) -> Tensor:  # noqa: ANN401 (autograd's)
        ctx.save_for_backward(images, filters)
        ctx.padding = padding
        return conv2d(images, filters, padding=padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # noqa: ANN401
        images, filters = ctx.saved_tensors
        by_images, by_filters, _ = ctx.needs_input_grad
        return (
            _by_images(gradient, filters, ctx.padding) if by_images else None,
            _ByFilters.apply(images, gradient, filters, ctx.padding) if by_filters else None,
            None,
        )


class _ByFilters(Function):
    """The gradient by the filters, from images and the gradient by what came out; `filters` gives the shape alone."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, gradient: Tensor, filters: Tensor, padding: int) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(images, gradient)
        ctx.padding = padding
        stride, padded, none = [1, 1], [padding, padding], [0, 0]
        return torch.ops.aten.convolution_backward(
            gradient, images, filters, None, stride, padded, stride, False, none, 1, [False, True, False]
        )[1]

    @staticmethod
    def backward(ctx: Any, direction: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:  # noqa: ANN401
        images, gradient = ctx.saved_tensors
        by_images, by_gradient, _, _ = ctx.needs_input_grad
        return (
            _by_images(gradient, direction, ctx.padding) if by_images else None,
            _Convolve.apply(images, direction, ctx.padding) if by_gradient else None,
            None,
            None,
        )


def _by_images(gradient: Tensor, filters: Tensor, padding: int) -> Tensor:
    """The gradient by the images: what came out, convolved with the turned filters."""
    return _Convolve.apply(gradient, filters.transpose(0, 1).flip(2, 3), filters.shape[2] - 1 - padding)
