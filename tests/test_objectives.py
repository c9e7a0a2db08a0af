"""Objectives of the families, compared with torch.distributions and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch.distributions import Normal

from triptych.objectives import adversarial, likelihoods, planar
from triptych.objectives.adversarial import discriminator_loss, non_saturating
from triptych.objectives.flow import bits_per_dimension, log_likelihood
from triptych.objectives.vae import negative_elbo


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_elbo_of_an_undecided_decoder() -> None:
    images, zeros = torch.ones(2, 28, 28), torch.zeros(2, 20)
    reconstruction, kl = negative_elbo(images, torch.zeros(2, 28, 28), zeros, zeros)
    assert reconstruction.tolist() == pytest.approx([784 * math.log(2)] * 2, rel=1e-6)
    assert kl.tolist() == [0.0, 0.0]


def test_gan_losses_of_an_undecided_discriminator() -> None:
    zeros = torch.zeros(8)
    assert discriminator_loss(zeros, zeros).item() == pytest.approx(2 * math.log(2))
    assert non_saturating(zeros).item() == pytest.approx(math.log(2))


def test_gan_losses_are_their_definitions() -> None:
    real, fake = normal(2, 9)
    wanted = -(real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean())
    assert discriminator_loss(real, fake).item() == pytest.approx(wanted.item(), rel=1e-6)
    assert non_saturating(fake).item() == pytest.approx(-fake.sigmoid().log().mean().item(), rel=1e-6)


def test_gan_losses_stay_finite_and_do_not_saturate() -> None:
    fake = torch.tensor([-1e4], requires_grad=True)
    loss = non_saturating(fake)
    assert loss.item() == pytest.approx(1e4)
    assert torch.autograd.grad(loss, fake)[0].item() == pytest.approx(-1.0)
    assert discriminator_loss(torch.tensor([-1e4]), torch.tensor([1e4])).isfinite()


def test_label_noise_flips_the_given_share() -> None:
    torch.manual_seed(0)
    sure = torch.full((20_000,), 100.0)
    flipped = discriminator_loss(sure, -sure, label_noise=0.1).item() / (2 * 100)
    assert flipped == pytest.approx(0.1, abs=0.01)


def test_flow_likelihood_of_a_known_map() -> None:
    x, scale = normal(5, 3), torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
    oracle = Normal(torch.zeros(3, dtype=torch.float64), 1 / scale).log_prob(x).sum(1)
    assert torch.allclose(log_likelihood(x * scale, scale.log().sum().expand(5)), oracle, atol=1e-10)
    assert bits_per_dimension(torch.tensor(784 * 8 * math.log(2)), 784).item() == pytest.approx(8.0)


def ogp(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return adversarial.ogp(p, None, q, None, critic=lambda x: x)


def r1gp(p: torch.Tensor, cp: torch.Tensor) -> torch.Tensor:
    p.requires_grad_()
    return adversarial.r1gp(p, cp * p[:, :1], None, None, critic=None)


EQUAL = [(5, 3), (5, 1, 3)]
LAYER = [(5, 2), (2,), (2,), (1,)]  # z, u, w, b
FLOW = [(5, 2), (3, 2), (3, 2), (3, 1)]
WRONG_SHAPES = [
    (likelihoods.log_likelihood_bernoulli, EQUAL),
    (likelihoods.log_likelihood_bernoulli_logits, EQUAL),
    (lambda logits, target: likelihoods.log_likelihood_bernoulli_logits(logits, target, 2), [(5, 4, 3), (5, 3)]),
    (likelihoods.log_likelihood_normal, [(5, 3), (5, 3), (5, 1)]),
    (likelihoods.log_likelihood_normal, [(5, 3), (3,), (5, 3)]),
    (likelihoods.kl_gaussian_gaussian_analytic, [(5, 3), (5, 3), (5, 1, 3), (5, 3)]),
    (likelihoods.kl_gaussian_gaussian_analytic, [(5, 3), (5, 3), (5, 3), (1, 3)]),
    (likelihoods.kl_gaussian_gaussian_mc, [(5, 3), (5, 1), (5, 3), (5, 3)]),
    (likelihoods.kl_to_standard_normal, [(5, 3), (5, 1)]),
    (negative_elbo, [(5, 3), (1, 3), (5, 2), (5, 2)]),
    (negative_elbo, [(5, 3), (5, 3), (1, 2), (1, 2)]),
    (negative_elbo, [(5, 3), (5, 3), (5, 2), (5, 1)]),
    (log_likelihood, [(5, 3), (5, 1)]),
    (discriminator_loss, [(5,), (4,)]),
    (discriminator_loss, [(5, 2), (5, 2)]),
    (adversarial.jsd, [(5,), (5, 2)]),
    (adversarial.w1, [(5, 2), (5,)]),
    (adversarial.jsd_of_generated, [(5, 2)]),
    (adversarial.w1_of_generated, [(5, 2)]),
    (non_saturating, [(5, 2)]),
    (ogp, [(5, 1), (1, 1)]),
    (ogp, [(5, 2), (5, 2)]),
    (r1gp, [(5, 2), (5, 3)]),
    *(
        (function, [*LAYER[:place], wrong, *LAYER[place + 1 :]])
        for function in (planar.planar_transformation, planar.get_logdet)
        for place, wrong in ((1, (1,)), (1, (5, 1, 2)), (2, (1,)), (3, (2,)), (3, (5, 1, 1)))
    ),
    *(
        (planar.planar_flow, [*FLOW[:place], wrong, *FLOW[place + 1 :]])
        for place, wrong in ((1, (3, 1)), (2, (3, 5, 2)), (3, (3,)), (3, (3, 2)))
    ),
    (planar.planar_flow, [(5, 2), (3, 4, 2), (3, 4, 2), (3, 4, 1)]),
    (planar.planar_flow, [(5, 2), (3, 1, 5, 2), (3, 1, 5, 2), (3, 1, 5, 1)]),
    (planar.invertible, [(3, 2), (3, 1)]),
    (planar.invertible, [(2,), (3, 2)]),
    (planar.gradient_through_invertible, [(3, 2), (2,), (3, 2)]),
    (planar.loss1, [(5, 2), (5, 1)]),
    (planar.loss1, [(5, 2), ()]),
    (planar.loss2, [(5, 1), (5, 2), (5,)]),
    (planar.loss2, [(5,), (5, 2), (5, 1)]),
]


@pytest.mark.parametrize(("function", "shapes"), WRONG_SHAPES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_wrong_shapes_are_refused_with_the_shapes(function: Callable, shapes: list[tuple[int, ...]]) -> None:
    """Without a check, PyTorch computes wrong numbers from nearly all of them."""
    with pytest.raises(ValueError, match="; use ") as caught:
        function(*(torch.full(shape, 0.5) for shape in shapes))
    named = {shape for shape in shapes if f"has shape {shape}" in str(caught.value)}
    assert len(named) >= min(2, len(set(shapes)))
