"""The documents' likelihood functions, compared with torch.distributions, closed forms and autograd in float64."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from triptych.objectives import (
    kl_gaussian_gaussian_analytic,
    kl_gaussian_gaussian_mc,
    kl_to_standard_normal,
    log_likelihood_bernoulli,
    log_likelihood_bernoulli_logits,
    log_likelihood_normal,
    log_likelihood_standard_normal,
    log_mean_exp,
)

SHAPES = st.sampled_from([(5,), (1, 1), (4, 3), (2, 4, 4), (3, 1, 2, 3), (2, 100)])
SEEDS = st.integers(0, 2**32 - 1)
EXTREME = 20.0  # log variances: standard deviations from 5e-5 to 2e4


def uniform(shape: tuple[int, ...], seed: int, low: float, high: float) -> torch.Tensor:
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return low + (high - low) * noise


def over_trailing(distribution: torch.distributions.Distribution, shape: tuple[int, ...]) -> Independent:
    return Independent(distribution, len(shape) - 1)


def agree(ours: torch.Tensor, oracle: torch.Tensor) -> bool:
    """Return whether the values are equal to 1e-10, absolute or relative."""
    return ours.dtype == torch.float64 and torch.allclose(ours, oracle, rtol=1e-10, atol=1e-10)


@given(shape=SHAPES, seed=SEEDS, ends=st.sampled_from([0.0, 1e-20, 1e-12, 0.3]))
def test_bernoulli_from_means(shape: tuple[int, ...], seed: int, ends: float) -> None:
    mu = uniform(shape, seed, -0.2, 1.2).clamp(ends, 1 - ends)
    target = (uniform(shape, seed + 1, 0, 1) < 0.5).double()
    assert agree(log_likelihood_bernoulli(mu, target), over_trailing(Bernoulli(mu), shape).log_prob(target))


def test_bernoulli_at_certain_means() -> None:
    certain = torch.tensor([[0.0, 1.0], [1.0, 0.0]], requires_grad=True)
    right = log_likelihood_bernoulli(certain, certain.detach())
    assert right.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    wrong = log_likelihood_bernoulli(certain, 1 - certain.detach())
    assert wrong.isfinite().all()
    assert (wrong < -30).all()
    assert torch.autograd.grad((right + wrong).sum(), certain)[0].isfinite().all()


@given(shape=SHAPES, seed=SEEDS, scale=st.sampled_from([1.0, 50.0, 1e4]))
def test_bernoulli_from_logits(shape: tuple[int, ...], seed: int, scale: float) -> None:
    logits, target = uniform(shape, seed, -scale, scale), (uniform(shape, seed + 1, 0, 1) < 0.5).double()
    oracle = over_trailing(Bernoulli(logits=logits), shape).log_prob(target)
    assert agree(log_likelihood_bernoulli_logits(logits, target), oracle)


def test_bernoulli_is_finite_where_sigmoid_saturates() -> None:
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]])
    value = log_likelihood_bernoulli_logits(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert value.tolist() == [0.0, -2e4]


@given(shape=SHAPES, seed=SEEDS)
def test_normal(shape: tuple[int, ...], seed: int) -> None:
    mu, z = uniform(shape, seed, -5, 5), uniform(shape, seed + 1, -5, 5)
    logvar = uniform(shape, seed + 2, -EXTREME, EXTREME)
    oracle = over_trailing(Normal(mu, (logvar / 2).exp()), shape).log_prob(z)
    assert agree(log_likelihood_normal(mu, logvar, z), oracle)
    standard = over_trailing(Normal(torch.zeros_like(z), torch.ones_like(z)), shape).log_prob(z)
    assert agree(log_likelihood_standard_normal(z), standard)


@given(shape=SHAPES, seed=SEEDS)
def test_kl_of_two_gaussians(shape: tuple[int, ...], seed: int) -> None:
    mu_q, mu_p = uniform(shape, seed, -5, 5), uniform(shape, seed + 1, -5, 5)
    logvar_q, logvar_p = (uniform(shape, seed + offset, -EXTREME, EXTREME) for offset in (2, 3))
    q, p = Normal(mu_q, (logvar_q / 2).exp()), Normal(mu_p, (logvar_p / 2).exp())
    oracle = kl_divergence(over_trailing(q, shape), over_trailing(p, shape))
    assert agree(kl_gaussian_gaussian_analytic(mu_q, logvar_q, mu_p, logvar_p), oracle)
    prior = over_trailing(Normal(torch.zeros_like(mu_q), torch.ones_like(mu_q)), shape)
    assert agree(kl_to_standard_normal(mu_q, logvar_q), kl_divergence(over_trailing(q, shape), prior))
    assert kl_gaussian_gaussian_analytic(mu_q, logvar_q, mu_q, logvar_q).tolist() == [0.0] * shape[0]


def test_kl_uses_the_covariance_and_not_its_inverse() -> None:
    """(tr S + mu'mu - d - log det S) / 2 for S = 4 I, d = 2, mu = 0; one report puts the inverse of S in the trace."""
    zeros, logvar = torch.zeros(1, 2, dtype=torch.float64), torch.full((1, 2), math.log(4.0), dtype=torch.float64)
    right, inverse = (8 - 2 - math.log(16)) / 2, (0.5 - 2 + math.log(16)) / 2
    found = kl_gaussian_gaussian_analytic(zeros, logvar, zeros, zeros).item()
    assert found == pytest.approx(right, rel=1e-12)
    assert found != pytest.approx(inverse, rel=1e-2)


@pytest.mark.parametrize("shape", [(6,), (6, 3), (6, 2, 2)])
@pytest.mark.parametrize("num_samples", [1, 7])
def test_the_sampled_kl_is_unbiased(shape: tuple[int, ...], num_samples: int) -> None:
    mu_q, mu_p = uniform(shape, 0, -1, 1), uniform(shape, 1, -1, 1)
    logvar_q, logvar_p = uniform(shape, 2, -1, 1), uniform(shape, 3, -1, 1)
    torch.manual_seed(0)
    draws = torch.stack(
        [kl_gaussian_gaussian_mc(mu_q, logvar_q, mu_p, logvar_p, num_samples) for _ in range(4000 // num_samples)]
    )
    error = draws.std(0) / len(draws) ** 0.5
    exact = kl_gaussian_gaussian_analytic(mu_q, logvar_q, mu_p, logvar_p)
    assert draws.shape[1:] == (6,)
    assert ((draws.mean(0) - exact).abs() < 4.5 * error).all()


def test_the_sampled_kl_averages_over_its_samples() -> None:
    mu_q, zeros = torch.full((1, 50), 0.5, dtype=torch.float64), torch.zeros(1, 50, dtype=torch.float64)
    torch.manual_seed(0)
    spread = [
        torch.stack([kl_gaussian_gaussian_mc(mu_q, zeros, zeros, zeros, count) for _ in range(400)]).std().item()
        for count in (1, 16)
    ]
    assert spread[0] / spread[1] == pytest.approx(4.0, rel=0.2)
    with pytest.raises(ValueError, match="num_samples is 0"):
        kl_gaussian_gaussian_mc(mu_q, zeros, zeros, zeros, 0)


@given(rows=st.integers(1, 5), columns=st.integers(1, 50), seed=SEEDS, shift=st.sampled_from([0.0, -1e4, 1e4, 1e300]))
def test_log_mean_exp(rows: int, columns: int, seed: int, shift: float) -> None:
    y = uniform((rows, columns), seed, -30, 30)
    direct = y.exp().mean(1).log()
    assert torch.allclose(log_mean_exp(y), direct, rtol=1e-10, atol=1e-10)
    assert torch.allclose(log_mean_exp(y + shift), log_mean_exp(y) + shift, rtol=1e-12, atol=1e-9)


def test_log_mean_exp_of_minus_infinity() -> None:
    y = torch.tensor([[-math.inf, 0.0], [-math.inf, -math.inf]])
    assert log_mean_exp(y).tolist() == [pytest.approx(-math.log(2)), -math.inf]


def test_float32_stays_float32() -> None:
    ones = torch.full((3, 2, 2), 0.5)
    for value in (
        log_likelihood_bernoulli(ones, ones),
        log_likelihood_bernoulli_logits(ones, ones),
        log_likelihood_normal(ones, ones, ones),
        log_mean_exp(ones.flatten(1)),
        kl_gaussian_gaussian_analytic(ones, ones, ones, ones),
        kl_gaussian_gaussian_mc(ones, ones, ones, ones, 3),
    ):
        assert value.dtype == torch.float32
        assert value.shape == (3,)


def test_gradients() -> None:
    shape = (2, 3)
    a, b, c, d = (uniform(shape, seed, -2, 2).requires_grad_() for seed in range(4))
    target = (uniform(shape, 9, 0, 1) < 0.5).double()
    assert gradcheck(log_likelihood_bernoulli, (uniform(shape, 4, 0.05, 0.95).requires_grad_(), target))
    assert gradcheck(log_likelihood_bernoulli_logits, (a, target))
    assert gradcheck(log_likelihood_normal, (a, b, c))
    assert gradcheck(log_mean_exp, (a,))
    assert gradcheck(kl_gaussian_gaussian_analytic, (a, b, c, d))
    assert gradcheck(kl_to_standard_normal, (a, b))

    def seeded_mc(*parts: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return kl_gaussian_gaussian_mc(*parts, num_samples=3)

    assert gradcheck(seeded_mc, (a, b, c, d))
