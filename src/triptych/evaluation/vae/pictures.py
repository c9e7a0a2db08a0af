"""The pictures of a VAE: reconstructions, the bound over training, samples and the latent plane."""

import torch
from torch import Tensor

from triptych.data.binarization import stochastic_binarize
from triptych.evaluation.context import Evaluation, at_epoch
from triptych.evaluation.uint8_images import to_uint8
from triptych.evaluation.vae.latent_plane import aggregate_posterior, manifold
from triptych.evaluation.vae.presentation import CHARTS
from triptych.figures.image_grids import image_grids
from triptych.figures.style import save, save_grey

GRID, TAIL = 20, 1e-4  # the manifold: points per side, and the smallest quantile
RECONSTRUCTED, POINTS = 25, 2500  # images in a picture


def draw_pictures(evaluation: Evaluation) -> None:
    """Draw U1.12 reconstructions, U1.13 bound over training, U1.14 samples and, with two latents, U1.15 plane."""
    title = f"U1.13  Evidence lower bound of {evaluation.name}"
    CHARTS["U1.13-elbo"].draw(evaluation, "U1.13-elbo", title)
    _draw_samples(evaluation)
    _draw_reconstructions(evaluation)
    if evaluation.family.latent == 2:
        _draw_plane(evaluation)


def _draw_samples(evaluation: Evaluation) -> None:
    samples = evaluation.samples()
    means = {epoch: to_uint8(images, f"samples after epoch {epoch}") for epoch, images in samples.items()}
    noise = torch.rand(next(iter(means.values())).shape)
    draws = {epoch: stochastic_binarize(images, noise) * 255 for epoch, images in means.items()}
    for kind, images, words in (("means", means, "means of the pixels"), ("draws", draws, "Bernoulli draws")):
        panels = [(at_epoch(epoch), images[epoch].numpy()) for epoch in images]
        figure = image_grids(panels, 5, f"U1.14  Samples of {evaluation.name}, {words}, from the same latents")
        save_grey(figure, evaluation.folder / f"U1.14-{kind}.png")


def _draw_reconstructions(evaluation: Evaluation) -> None:
    test = evaluation.splits["test"].pixels
    originals = test[_evenly_spaced(len(test), RECONSTRUCTED)]
    family = evaluation.family
    panels = [("test images", (originals * 255).cpu().numpy())]
    for heading, draws in (("from one draw of z", 1), ("mean over 100 draws of z", 100)):
        with torch.no_grad():
            latents = family.encode(originals, draws)
            means = family.decode(latents.flatten(0, 1)).unflatten(0, (-1, draws)).mean(1)
        panels.append((heading, to_uint8(means.cpu(), "reconstructions").numpy()))
    figure = image_grids(panels, 5, f"U1.12  Reconstructions by {evaluation.name}, means of the pixels")
    save_grey(figure, evaluation.folder / "U1.12-reconstructions.png")


def _evenly_spaced(available: int, count: int) -> Tensor:
    """Return indices at equal distances, since a test set may be sorted by digit."""
    return torch.linspace(0, available - 1, min(count, available)).round().long()


def _draw_plane(evaluation: Evaluation) -> None:
    quantiles = torch.linspace(TAIL, 1 - TAIL, GRID, dtype=torch.float64)
    axis = torch.special.ndtri(quantiles).float()
    rows, columns = torch.meshgrid(axis.flip(0), axis, indexing="ij")
    plane = torch.stack([columns, rows], -1).view(-1, 2)
    device = next(evaluation.family.networks.parameters()).device
    found = evaluation.at_epochs(lambda family: family.sample(plane.to(device)), evaluation.shown_epochs)
    panels = [(at_epoch(epoch), to_uint8(images, "manifold").numpy()) for epoch, images in found.items()]
    save_grey(manifold(panels, GRID, TAIL), evaluation.folder / "U1.15-manifold.png")
    test = evaluation.splits["test"].pixels
    chosen = test[_evenly_spaced(len(test), POINTS)]
    latents = evaluation.family.encode(chosen, 1).squeeze(1)
    labels = evaluation.classify(chosen * 255)
    figure = aggregate_posterior(latents.cpu().numpy(), labels.cpu().numpy(), f"{len(chosen):,} test images")
    save(figure, evaluation.folder / "U1.15-posterior.png")
