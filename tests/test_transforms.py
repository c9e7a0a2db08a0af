"""Preparation of pixels: bounds, inverses, log determinants against autograd, and the 8-bit bookkeeping."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from triptych.data.transforms import Dequantize, Logit, StochasticBinarize, ThresholdBinarize

ALPHAS = st.floats(1e-6, 0.4)


@given(alpha=ALPHAS, seed=st.integers(0, 1000))
def test_logit_inverts_and_its_log_determinant_is_autograds(alpha: float, seed: int) -> None:
    values = torch.rand(3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.999999
    logit = Logit(alpha)
    z, log_det = logit.forward(values)
    back, inverse_log_det = logit.inverse(z)
    assert torch.allclose(back, values, atol=1e-10)
    assert torch.allclose(inverse_log_det, -log_det, atol=1e-8)
    for index in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda row: logit.forward(row[None])[0][0], values[index])
        assert torch.allclose(torch.linalg.slogdet(jacobian).logabsdet, log_det[index], atol=1e-9)


def test_logit_is_finite_at_both_ends() -> None:
    z, log_det = Logit(1e-5).forward(torch.tensor([[0.0, 1 - 2**-24]]))
    assert z.isfinite().all()
    assert log_det.isfinite().all()


def test_dequantised_values_stay_below_one_and_return_to_their_level() -> None:
    pixels = np.arange(256, dtype=np.float32).reshape(1, 16, 16)
    for noise in (0.0, 0.5, np.nextafter(np.float32(1), np.float32(0))):
        values, log_det = Dequantize().forward(pixels, np.full_like(pixels, noise))
        assert values.max() < 1
        assert log_det == pytest.approx(-256 * math.log(256))
        if noise < 0.9:
            assert (Dequantize().inverse(values) == pixels).all()


def test_a_uniform_density_scores_exactly_eight_bits() -> None:
    pixels = torch.randint(0, 256, (4, 28, 28)).float()
    _, log_det = Dequantize().forward(pixels, torch.rand(4, 28, 28))
    uniform_log_density = 0.0
    assert -(uniform_log_density + log_det) / (784 * math.log(2)) == pytest.approx(8.0, abs=1e-12)


def test_stochastic_binarisation_has_the_intensity_as_its_mean() -> None:
    pixels = np.repeat(np.array([0, 51, 128, 255], np.uint8)[:, None], 200_000, axis=1)
    draws = StochasticBinarize().forward(pixels, np.random.default_rng(0).random(pixels.shape, np.float32))
    expected = np.array([0, 0.2, 128 / 255, 1])
    assert np.allclose(draws.mean(1), expected, atol=5 * 0.5 / math.sqrt(200_000))
    assert not draws[0].any()
    assert draws[3].all()


def test_threshold() -> None:
    assert ThresholdBinarize(0.5).forward(np.array([0, 127, 128, 255])).tolist() == [False, False, True, True]
