"""Preparation of pixels: binarisation and dequantisation, in numpy as the prepare stage calls them."""

from __future__ import annotations

import math

import numpy as np

from triptych.data.transforms import StochasticBinarize, ThresholdBinarize, dequantize, quantize


def test_dequantised_values_stay_below_one_and_return_to_their_level() -> None:
    pixels = np.arange(256, dtype=np.float32).reshape(1, 16, 16)
    for noise in (0.0, 0.5, np.nextafter(np.float32(1), np.float32(0))):
        values = dequantize(pixels, np.full_like(pixels, noise))
        assert values.max() < 1
        if noise < 0.9:
            assert (quantize(values) == pixels).all()


def test_stochastic_binarisation_has_the_intensity_as_its_mean() -> None:
    pixels = np.repeat(np.array([0, 51, 128, 255], np.uint8)[:, None], 200_000, axis=1)
    draws = StochasticBinarize().forward(pixels, np.random.default_rng(0).random(pixels.shape, np.float32))
    expected = np.array([0, 0.2, 128 / 255, 1])
    assert np.allclose(draws.mean(1), expected, atol=5 * 0.5 / math.sqrt(200_000))
    assert not draws[0].any()
    assert draws[3].all()


def test_threshold() -> None:
    assert ThresholdBinarize(0.5).forward(np.array([0, 127, 128, 255])).tolist() == [False, False, True, True]
