"""Batch normalisation of a batch that several processes share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from triptych.training import distributed


class BatchNorm2d(nn.BatchNorm2d):
    """nn.BatchNorm2d, in training by the statistics of all processes' rows.

    As nn.SyncBatchNorm, which is for GPUs alone; the same numbers as one process has for the whole batch, to rounding.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or distributed.world_size() == 1:
            return super().forward(input)
        x = input.float()
        own = torch.stack([x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)])
        means, variances = distributed.all_gather(own).unbind(1)
        mean, variance = means.mean(0), variances.mean(0) + means.var(0, correction=0)  # of equal shares
        self._follow(mean.detach(), variance.detach(), distributed.world_size() * x.numel() // x.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        return torch.addcmul((self.bias - mean * scale)[:, None, None], x, scale[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Move the running statistics, of which the variance is the unbiased one."""
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
