"""The Dirac game: data at 0, a generator that is a point theta, a critic that is a line C(x) = psi0 x + psi1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Games:
    """The rules of c games that are played side by side: loss type, penalty and coefficient, as in `make_losses`.

    `generator_loss` is that of `generator_loss_of`. With non_saturating all games are of the type jsd.
    """

    def __init__(
        self, rules: Sequence[tuple[str, str | None, float]], rate: float, generator_loss: str = "metric"
    ) -> None:
        losses, penalties, coefficients = zip(*rules, strict=True)
        used = [0.0 if penalty is None else value for penalty, value in zip(penalties, coefficients, strict=True)]
        self.rate = rate
        """The learning rate of both players."""
        self.jsd = torch.tensor([loss == "jsd" for loss in losses])
        """Whether the loss is the Jensen-Shannon divergence, (c,); otherwise it is W1."""
        self.non_saturating = generator_loss == "non_saturating"
        self.centre = torch.tensor([float(penalty == "ogp") for penalty in penalties], dtype=torch.float64)
        """The gradient norm at which the penalty is zero, (c,): 1 for ogp, 0 for r1gp."""
        self.coefficient = torch.tensor(used, dtype=torch.float64)
        """The penalty's coefficient, (c,); 0 without a penalty."""

    def step(self, psi0: Tensor, psi1: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return psi0, psi1 and theta (c,) after one step of gradient descent: first the critic, then the generator.

        The gradients are those of `make_train_step`, written out for C(0) = psi1 and C(theta) = psi0 theta + psi1. The
        gradient of C in x is psi0 everywhere (Mescheder et al. 2018, definition 2.1).

        >>> w1 = Games([("w1", None, 0.0)], rate=0.1)
        >>> [round(player.item(), 3) for player in w1.step(*torch.tensor([[0.0], [0.0], [1.0]]))]
        [-0.1, 0.0, 0.99]
        """
        fake = psi0 * theta + psi1
        of_real = torch.where(self.jsd, (-psi1).sigmoid() / 2, 1.0)
        of_fake = torch.where(self.jsd, -fake.sigmoid() / 2, -1.0)
        of_penalty = 2 * self.coefficient * (psi0 - self.centre * psi0.sign())
        psi0 = psi0 + self.rate * (of_fake * theta - of_penalty)
        psi1 = psi1 + self.rate * (of_real + of_fake)
        fake = psi0 * theta + psi1
        of_jsd = (-fake).sigmoid() if self.non_saturating else fake.sigmoid() / 2
        of_generated = torch.where(self.jsd, of_jsd, 1.0)
        return psi0, psi1, theta + self.rate * of_generated * psi0

    def eigenvalues(self) -> list[complex | None]:
        """Return, for each game, the largest eigenvalue in modulus of the step's Jacobian at the equilibrium.

        The Jacobian is taken in (psi0, theta) at psi0 = theta = 0: psi1 does not enter it, and never moves under W1.
        A one-centred penalty gives None, since it is not differentiable there.
        """
        origin = torch.zeros(len(self.jsd), dtype=torch.float64)

        def step(psi0: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
            next_psi0, _, next_theta = self.step(psi0, torch.zeros_like(psi0), theta)
            return next_psi0, next_theta

        jacobian = torch.autograd.functional.jacobian(step, (origin, origin))
        matrices = torch.stack([torch.stack([part.diagonal() for part in row], -1) for row in jacobian], -2)
        eigenvalues = torch.linalg.eigvals(matrices)
        largest = eigenvalues.gather(1, eigenvalues.abs().argmax(1, keepdim=True)).squeeze(1).tolist()
        has_kink = (self.centre * self.coefficient != 0).tolist()
        return [None if kink else value for kink, value in zip(has_kink, largest, strict=True)]
