"""Linear layers that use oneDNN for large float32 products on processors where oneDNN is faster."""

from itertools import chain, pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.training.machine import uses_onednn

LARGE_PRODUCT = 1 << 22  # multiply-adds; for smaller products the change of layout costs more than it saves


class Linear(nn.Linear):
    """`nn.Linear`, computed by `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return x W' + b of shape (..., outputs), from x of shape (..., inputs) and W of shape (outputs, inputs).

    The result equals that of `torch.nn.functional.linear` up to rounding. PyTorch multiplies float32 matrices with
    MKL, which does not use AVX-512 on processors of other vendors than Intel. There, oneDNN is twice as fast, also for
    gradients, so large products of two-dimensional x are computed with oneDNN.

    >>> import torch
    >>> linear(torch.ones(1, 2), torch.tensor([[1.0, 2.0]]), torch.tensor([0.5]))
    tensor([[3.5000]])
    """
    if x.dim() == 2 and x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu":
        large = len(x) * weight.numel() >= LARGE_PRODUCT
        if large and uses_onednn() and not torch.is_autocast_enabled("cpu"):
            return functional.linear(x.to_mkldnn(), weight, bias).to_dense()
    return functional.linear(x, weight, bias)


def perceptron(sizes: list[int], activation: type[nn.Module]) -> nn.Sequential:
    """Return linear layers from `sizes[0]` to `sizes[-1]`, with the activation after each."""
    return nn.Sequential(*chain(*((Linear(inputs, outputs), activation()) for inputs, outputs in pairwise(sizes))))
