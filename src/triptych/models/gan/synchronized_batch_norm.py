"""Batch normalisation over a batch that is split between several processes."""

import torch
from torch import Tensor, nn

from triptych.training import distributed


class BatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` which, in training, uses the statistics of the examples of all processes.

    The numbers equal those of one process with the whole batch, up to rounding. `nn.SyncBatchNorm` does the same, but
    only on GPUs.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or distributed.world_size() == 1:
            return super().forward(input)
        x = input.float()
        own = torch.stack([x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)])
        means, variances = distributed.all_gather(own).unbind(1)
        # The processes hold equal shares of the batch.
        mean, variance = means.mean(0), variances.mean(0) + means.var(0, correction=0)
        self._update_running_statistics(
            mean.detach(), variance.detach(), distributed.world_size() * x.numel() // x.shape[1]
        )
        scale = self.weight * (variance + self.eps).rsqrt()
        return torch.addcmul((self.bias - mean * scale)[:, None, None], x, scale[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running mean and the running variance, which is the unbiased one of `count` values."""
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
