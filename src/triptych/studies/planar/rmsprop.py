"""RMSprop (Tieleman and Hinton 2012), by PyTorch's functional form, for the reasons given in `adam`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.optim.rmsprop import rmsprop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

EPSILON = 1e-8


class RMSprop:
    """Updates parameters in place from given gradients."""

    def __init__(self, parameters: Sequence[Tensor], smoothing: float) -> None:
        self.parameters, self.smoothing = list(parameters), smoothing
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = [torch.zeros(()) for _ in self.parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """One update; the gradients in the order of the parameters."""
        rmsprop(
            self.parameters,
            list(gradients),
            self.squares,
            [],
            [],
            self.steps,
            foreach=False,
            lr=learning_rate,
            alpha=self.smoothing,
            eps=EPSILON,
            weight_decay=0.0,
            momentum=0.0,
            centered=False,
        )

    def state(self) -> dict[str, Tensor]:
        """The mean squares by name, not copied; the count of steps enters no update."""
        return {f"square/{index}": tensor for index, tensor in enumerate(self.squares)}
