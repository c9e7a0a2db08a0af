"""A convolution for networks with a gradient penalty, whose gradient is differentiated once more."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import conv2d


class PenalisedConv2d(nn.Conv2d):
    """`nn.Conv2d` with stride 1, whose derivatives of any order are computed as convolutions and weight gradients.

    PyTorch computes the second derivative of a convolution by convolutions that use the images as filters, for which
    libraries are slow. This class uses the libraries' weight gradient instead, as the code of Karras et al. 2021 does.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        kind = input.device.type
        if torch.is_autocast_enabled(kind):  # autocast may be off in the derivatives, so one type is fixed here
            input, weight = (value.to(torch.get_autocast_dtype(kind)) for value in (input, weight))
        found = _Convolution.apply(input, weight, self.padding[0])
        return found if bias is None else found + bias.to(found.dtype).view(-1, 1, 1)


class _Convolution(Function):
    """Convolve images (n, a, h, w) with filters (b, a, k, k)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, filters: Tensor, padding: int) -> Tensor:  # noqa: ANN401 (autograd's)
        ctx.save_for_backward(images, filters)
        ctx.padding = padding
        return conv2d(images, filters, padding=padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # noqa: ANN401
        images, filters = ctx.saved_tensors
        for_images, for_filters, _ = ctx.needs_input_grad
        return (
            _image_gradient(gradient, filters, ctx.padding) if for_images else None,
            _FilterGradient.apply(images, gradient, filters, ctx.padding) if for_filters else None,
            None,
        )


class _FilterGradient(Function):
    """The gradient with respect to the filters, from the images and the gradient with respect to the output.

    Of `filters` only the shape is used.
    """

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
        for_images, for_gradient, _, _ = ctx.needs_input_grad
        return (
            _image_gradient(gradient, direction, ctx.padding) if for_images else None,
            _Convolution.apply(images, direction, ctx.padding) if for_gradient else None,
            None,
            None,
        )


def _image_gradient(gradient: Tensor, filters: Tensor, padding: int) -> Tensor:
    """Return the gradient with respect to the images: the output's gradient, convolved with the flipped filters."""
    return _Convolution.apply(gradient, filters.transpose(0, 1).flip(2, 3), filters.shape[2] - 1 - padding)
