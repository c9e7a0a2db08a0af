"""The Dirac game: data at 0, a generator that is a point theta, a critic that is a line C(x) = psi0 x + psi1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Games:
    """c games side by side, each tensor (c,)."""

    jsd: Tensor
    """Whether the loss is the Jensen-Shannon divergence, else W1."""
    centre: Tensor
    """Where the penalty wants the gradient's norm: 1 for ogp, 0 for r1gp."""
    coefficient: Tensor
    """Of the penalty; 0 for none."""
    rate: float

    @classmethod
    def of(cls, rules: Sequence[tuple[str, str | None, float]], rate: float) -> Games:
        """From loss type, penalty and coefficient of each game, as `make_losses` takes them."""
        losses, penalties, coefficients = zip(*rules, strict=True)
        used = [0.0 if penalty is None else value for penalty, value in zip(penalties, coefficients, strict=True)]
        return cls(
            torch.tensor([loss == "jsd" for loss in losses]),
            torch.tensor([float(penalty == "ogp") for penalty in penalties], dtype=torch.float64),
            torch.tensor(used, dtype=torch.float64),
            rate,
        )

    def play(self, psi0: Tensor, psi1: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where a step of gradient descent takes each game: the critic first, then the generator, both at one rate.

        The gradients of `make_losses` and of the generator's loss, written out: those of psi0, psi1 and theta through
        C(0) = psi1 and C(theta) = psi0 theta + psi1; the critic's gradient in x is psi0 everywhere.
        """
        fake = psi0 * theta + psi1
        of_real = torch.where(self.jsd, (-psi1).sigmoid() / 2, 1.0)
        of_fake = torch.where(self.jsd, -fake.sigmoid() / 2, -1.0)
        of_penalty = 2 * self.coefficient * (psi0 - self.centre * psi0.sign())
        psi0 = psi0 + self.rate * (of_fake * theta - of_penalty)
        psi1 = psi1 + self.rate * (of_real + of_fake)
        pull = torch.where(self.jsd, (-(psi0 * theta + psi1)).sigmoid(), 1.0)
        return psi0, psi1, theta + self.rate * pull * psi0

    def eigenvalues(self) -> list[complex | None]:
        """Of each game's step at the equilibrium psi0 = theta = 0, the eigenvalue of the largest modulus.

        Of the Jacobian in (psi0, theta): psi1 has no part in it, and under W1 never moves. None for a one-centred
        penalty, which has a kink there.
        """
        origin = torch.zeros(len(self.jsd), dtype=torch.float64)

        def step(psi0: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
            moved, _, pulled = self.play(psi0, torch.zeros_like(psi0), theta)
            return moved, pulled

        jacobian = torch.autograd.functional.jacobian(step, (origin, origin))
        matrices = torch.stack([torch.stack([part.diagonal() for part in row], -1) for row in jacobian], -2)
        found = torch.linalg.eigvals(matrices)
        largest = found.gather(1, found.abs().argmax(1, keepdim=True)).squeeze(1).tolist()
        kinked = (self.centre * self.coefficient != 0).tolist()
        return [None if kink else value for kink, value in zip(kinked, largest, strict=True)]
