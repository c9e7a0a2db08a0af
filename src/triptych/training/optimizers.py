"""Adam, RMSprop and gradient clipping.

The classes of `torch.optim` import PyTorch's compiler, which takes nearly two seconds in every process, and keep their
state in nested groups. The optimisers here do the same arithmetic and keep their state as named tensors.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

EPSILON = 1e-8


class Adam:
    """Adam with L2 weight decay (Kingma and Ba 2015, algorithm 1)."""

    def __init__(self, parameters: Sequence[nn.Parameter], betas: Sequence[float], weight_decay: float) -> None:
        self.parameters, self.betas, self.weight_decay = list(parameters), tuple(betas), weight_decay
        self.first = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], learning_rate: float | Tensor, divisor: Tensor | None = None) -> None:
        """Update the parameters in place from gradients in the same order, divided by a scalar, the `divisor`.

        Weight decay is added to the gradients after the division. On a GPU the rate may be a scalar tensor, which is
        read when the update runs.
        """
        beta1, beta2 = self.betas
        adam(
            self.parameters,
            list(gradients),
            self.first,
            self.second,
            [],
            self.steps,
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=learning_rate,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
            grad_scale=divisor,
        )

    def state(self) -> dict[str, Tensor]:
        """Return the moments and step counts by name, not copied."""
        parts = {"first": self.first, "second": self.second, "step": self.steps}
        return {f"{index}/{name}": tensor for name, part in parts.items() for index, tensor in enumerate(part)}


class RMSprop:
    """RMSprop without momentum (Tieleman and Hinton 2012). `smoothing` is the decay of the mean square."""

    def __init__(self, parameters: Sequence[Tensor], smoothing: float) -> None:
        self.parameters, self.smoothing = list(parameters), smoothing
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """Update the parameters in place from gradients in the same order."""
        for parameter, square, gradient in zip(self.parameters, self.squares, gradients, strict=True):
            square.mul_(self.smoothing).addcmul_(gradient, gradient, value=1 - self.smoothing)
            parameter.addcdiv_(gradient, square.sqrt().add_(EPSILON), value=-learning_rate)

    def state(self) -> dict[str, Tensor]:
        """Return the mean squares by name, not copied."""
        return {f"square/{index}": tensor for index, tensor in enumerate(self.squares)}


def clipping_divisor(gradients: Sequence[Tensor], largest: float) -> Tensor:
    """Return the scalar by which gradients are divided so that their common norm is `largest` or less.

    It is 1 if the norm does not exceed `largest` (Pascanu et al. 2013).

    >>> clipping_divisor([torch.tensor([3.0]), torch.tensor([4.0])], largest=1.0)
    tensor(5.)
    """
    return (torch.nn.utils.get_total_norm(gradients) / largest).clamp(min=1.0).to(torch.float32)
