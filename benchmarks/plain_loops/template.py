"""The loop of the documents' templates, for a model whose forward pass returns the loss of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from plain_loops.data import batches

if TYPE_CHECKING:
    from plain_loops.data import Transform
    from triptych.settings.experiment import Experiment


class TemplateLoop:
    """A loop with one optimiser step per batch; the loss is read at each step."""

    def __init__(
        self,
        model: torch.nn.Module,
        experiment: Experiment,
        pixels: torch.Tensor,
        transform: Transform,
        device: str,
    ) -> None:
        self.model, self.images_per_step, self.device = model.to(device), experiment.batch_size, device
        self.optimizer = torch.optim.Adam(model.parameters(), lr=experiment.learning_rate)
        self.batches = batches(pixels, transform, experiment.batch_size)

    def run(self, steps: int) -> float:
        """Run updates; return the mean loss."""
        total = 0.0
        for _ in range(steps):
            images = next(self.batches).to(self.device)
            self.optimizer.zero_grad()
            loss = self.model(images)
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / steps
