"""How good a VAE is: the bound and its parts, curves and samples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from triptych.data.transforms import StochasticBinarize
from triptych.evaluation.images import quantize
from triptych.figures.curves import Curve, curves
from triptych.figures.grids import grids
from triptych.figures.style import save

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation

SAMPLES_ARE = "means of the Bernoulli pixels"
NOT_DEFINED = {"log_likelihood": "only a bound, the ELBO", "bits_per_dimension": "the pixels are binary"}
CURVES = ("valid_negative_elbo", "train_negative_elbo")


def measure(evaluation: Evaluation) -> dict[str, object]:
    """ELBO, reconstruction and KL in nats per image on validation and test, one draw of z an image."""
    numbers = {}
    for split, images in evaluation.splits.items():
        bound = evaluation.family.bound(images.pixels)
        numbers[split] = {
            "elbo": -bound["negative_elbo"],
            "elbo_standard_error": bound["negative_elbo_standard_error"],
            "negative_elbo": bound["negative_elbo"],
            "reconstruction": bound["reconstruction"],
            "kl": bound["kl"],
            "bits_per_binary_pixel": bound["negative_elbo"] / (images.pixels[0].numel() * math.log(2)),
        }
    return numbers


def draw_pictures(evaluation: Evaluation) -> None:
    """U1.13, the bound over training; U1.14, samples at three times, as means and as draws."""
    lines = [
        Curve("train_negative_elbo", "training", "train", factor=-1),
        Curve("valid_negative_elbo", "validation", "valid", factor=-1),
    ]
    figure = curves(evaluation.history, lines, "U1.13  Evidence lower bound", "ELBO (nats per image)")
    save(figure, evaluation.folder / "U1.13-elbo.png")
    noise = torch.rand(next(iter(evaluation.stages.values())).shape, generator=evaluation.noise)
    means = {epoch: quantize(images, f"samples after epoch {epoch}") for epoch, images in evaluation.stages.items()}
    draws = {epoch: StochasticBinarize().forward(images, noise) * 255 for epoch, images in means.items()}
    for images, name, words in ((means, "means", "means of the pixels"), (draws, "draws", "Bernoulli draws")):
        panels = [(f"after epoch {epoch}" if epoch else "before training", images[epoch].numpy()) for epoch in images]
        save(
            grids(panels, 5, f"U1.14  Samples, {words}, from the same latents"), evaluation.folder / f"U1.14-{name}.png"
        )
