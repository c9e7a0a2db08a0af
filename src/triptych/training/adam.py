"""Adam (Kingma and Ba 2015), by PyTorch's functional form.

The class form imports PyTorch's compiler, nearly two seconds of every process, and keeps its state in nested groups;
this is the same arithmetic with its state as named tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.optim.adam import adam

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

EPSILON = 1e-8


class Adam:
    """Updates parameters in place from given gradients."""

    def __init__(self, parameters: Sequence[nn.Parameter], betas: Sequence[float], weight_decay: float) -> None:
        self.parameters, self.betas, self.weight_decay = list(parameters), tuple(betas), weight_decay
        self.first = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], learning_rate: float | Tensor) -> None:
        """One update; the gradients in the order of the parameters. Weight decay is added to them (L2).

        On a GPU the rate may be a scalar tensor, which is read when the update runs.
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
        )

    def state(self) -> dict[str, Tensor]:
        """The moments and step counts by name, not copied."""
        parts = {"first": self.first, "second": self.second, "step": self.steps}
        return {f"{index}/{name}": tensor for name, part in parts.items() for index, tensor in enumerate(part)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `state` returned."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors[name])


def clipped(gradients: Sequence[Tensor], largest: float) -> list[Tensor]:
    """The gradients, scaled down together where their norm exceeds `largest` (Pascanu et al. 2013)."""
    scale = (largest / torch.nn.utils.get_total_norm(gradients)).clamp(max=1.0)
    return [gradient * scale for gradient in gradients]
