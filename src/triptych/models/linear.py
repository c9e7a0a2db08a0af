"""Linear layers at the processor's full rate."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.training.machine import uses_onednn

WORTH_IT = 1 << 22  # multiply-adds of a product from which on the change of layout pays


class Linear(nn.Linear):
    """nn.Linear by `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x weight' + bias, (..., outputs) from x (..., inputs): as in torch.nn.functional, to the last digits.

    PyTorch multiplies float32 by MKL, which leaves AVX-512 unused on processors that are not Intel's. oneDNN, by which
    PyTorch multiplies bfloat16, is twice as fast there, with gradients: large products of two dimensions go that way.
    """
    if x.dim() == 2 and x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu":
        large = len(x) * weight.numel() >= WORTH_IT
        if large and uses_onednn() and not torch.is_autocast_enabled("cpu"):
            return functional.linear(x.to_mkldnn(), weight, bias).to_dense()
    return functional.linear(x, weight, bias)
