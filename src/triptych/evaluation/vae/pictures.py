"""The pictures of a VAE: reconstructions, the bound over training, samples, and the latent plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from triptych.data.binarization import stochastic_binarize
from triptych.evaluation.context import at_epoch
from triptych.evaluation.quantization import quantize
from triptych.evaluation.vae.plane import aggregate_posterior, manifold
from triptych.figures.curves import Curve, curves_over_epochs
from triptych.figures.image_grids import image_grids
from triptych.figures.style import save, save_grey

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation

GRID, TAIL = 20, 1e-4  # the manifold: points a side, and the quantile that it begins at
RECONSTRUCTED, POINTS = 25, 2500  # images in a picture


def draw_pictures(evaluation: Evaluation) -> None:
    """U1.12, reconstructions; U1.13, the bound over training; U1.14, samples; U1.15, the latent plane if it is one."""
    _draw_bound(evaluation)
    _draw_samples(evaluation)
    _draw_reconstructions(evaluation)
    if evaluation.family.latent == 2:
        _draw_plane(evaluation)


def _draw_bound(evaluation: Evaluation) -> None:
    lines = [
        Curve("train_negative_elbo", "training", "train", factor=-1),
        Curve("valid_negative_elbo", "validation", "valid", factor=-1),
        Curve("train_negative_iw_bound", "training, importance-weighted", "train", factor=-1, dashed=True),
        Curve("valid_negative_iw_bound", "validation, importance-weighted", "valid", factor=-1, dashed=True),
    ]
    known = [line for line in lines if line.column in evaluation.history[0]]
    title = f"U1.13  Evidence lower bound of {evaluation.name}"
    save(
        curves_over_epochs(evaluation.history, known, title, "bound (nats per image)"),
        evaluation.folder / "U1.13-elbo.png",
    )


def _draw_samples(evaluation: Evaluation) -> None:
    samples = evaluation.samples()
    means = {epoch: quantize(images, f"samples after epoch {epoch}") for epoch, images in samples.items()}
    noise = torch.rand(next(iter(means.values())).shape)
    draws = {epoch: stochastic_binarize(images, noise) * 255 for epoch, images in means.items()}
    for kind, images, words in (("means", means, "means of the pixels"), ("draws", draws, "Bernoulli draws")):
        panels = [(at_epoch(epoch), images[epoch].numpy()) for epoch in images]
        figure = image_grids(panels, 5, f"U1.14  Samples of {evaluation.name}, {words}, from the same latents")
        save_grey(figure, evaluation.folder / f"U1.14-{kind}.png")


def _draw_reconstructions(evaluation: Evaluation) -> None:
    test = evaluation.splits["test"].pixels
    originals = test[_spread(len(test), RECONSTRUCTED)]
    family = evaluation.family
    panels = [("test images", (originals * 255).cpu().numpy())]
    for heading, draws in (("from one draw of z", 1), ("mean over 100 draws of z", 100)):
        with torch.no_grad():
            latents = family.encode(originals, draws)
            means = family.decode(latents.flatten(0, 1)).unflatten(0, (-1, draws)).mean(1)
        panels.append((heading, quantize(means.cpu(), "reconstructions").numpy()))
    figure = image_grids(panels, 5, f"U1.12  Reconstructions by {evaluation.name}, means of the pixels")
    save_grey(figure, evaluation.folder / "U1.12-reconstructions.png")


def _spread(available: int, count: int) -> Tensor:
    """Evenly spaced indices: a test set may be sorted by digit."""
    return torch.linspace(0, available - 1, min(count, available)).round().long()


def _draw_plane(evaluation: Evaluation) -> None:
    quantiles = torch.linspace(TAIL, 1 - TAIL, GRID, dtype=torch.float64)
    axis = torch.special.ndtri(quantiles).float()
    rows, columns = torch.meshgrid(axis.flip(0), axis, indexing="ij")
    plane = torch.stack([columns, rows], -1).view(-1, 2)
    device = next(evaluation.family.networks.parameters()).device
    seen = evaluation.over_training(lambda family: family.sample(plane.to(device)), evaluation.stages)
    panels = [(at_epoch(epoch), quantize(images, "manifold").numpy()) for epoch, images in seen.items()]
    save_grey(manifold(panels, GRID, TAIL), evaluation.folder / "U1.15-manifold.png")
    test = evaluation.splits["test"].pixels
    chosen = test[_spread(len(test), POINTS)]
    latents = evaluation.family.encode(chosen, 1).squeeze(1)
    labels = evaluation.classify(chosen * 255)
    figure = aggregate_posterior(latents.cpu().numpy(), labels.cpu().numpy(), f"{len(chosen):,} test images")
    save(figure, evaluation.folder / "U1.15-posterior.png")
