"""The pictures of a VAE: reconstructions, the bound over training, samples and the latent plane."""

from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from triptych.data.binarization import stochastic_binarize
from triptych.evaluation.context import Evaluation, at_epoch
from triptych.evaluation.uint8_images import to_uint8
from triptych.evaluation.vae.presentation import CHARTS
from triptych.figures.image_grids import image_grids, tile
from triptych.figures.style import CLASS_COLOURS, INK, new_figure, save, save_grey, tidy

REACH = 4.0  # half of the width of the shown latent plane, in standard deviations of the prior
GRID, TAIL = 20, 1e-4  # the manifold: points per side, and the smallest quantile
RECONSTRUCTED, POINTS = 25, 2500  # images in a picture


def draw_pictures(evaluation: Evaluation) -> None:
    """Draw U1.12 reconstructions, U1.13 bound over training, U1.14 samples and, with two latents, U1.15 plane."""
    title = f"Evidence lower bound of {evaluation.name}"
    CHARTS["U1.13-elbo"].draw(evaluation, "U1.13-elbo", title)
    _draw_samples(evaluation)
    _draw_reconstructions(evaluation)
    if evaluation.family.latent == 2:
        _draw_manifold(evaluation)
        _draw_aggregate_posterior(evaluation)


def _draw_samples(evaluation: Evaluation) -> None:
    samples = evaluation.samples()
    means = {epoch: to_uint8(images, f"samples after epoch {epoch}") for epoch, images in samples.items()}
    noise = torch.rand(next(iter(means.values())).shape)
    draws = {epoch: stochastic_binarize(images, noise) * 255 for epoch, images in means.items()}
    for kind, images, words in (("means", means, "means of the pixels"), ("draws", draws, "Bernoulli draws")):
        panels = [(at_epoch(epoch), images[epoch].numpy()) for epoch in images]
        figure = image_grids(panels, 5, f"Samples of {evaluation.name}, {words}, from the same latents")
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
    figure = image_grids(panels, 5, f"Reconstructions by {evaluation.name}, means of the pixels")
    save_grey(figure, evaluation.folder / "U1.12-reconstructions.png")


def _evenly_spaced(available: int, count: int) -> Tensor:
    """Return indices at equal distances, since a test set may be sorted by digit."""
    return torch.linspace(0, available - 1, min(count, available)).round().long()


def _draw_manifold(evaluation: Evaluation) -> None:
    """Draw decoded images over the latent plane, at equal steps of the prior's quantiles."""
    quantiles = torch.linspace(TAIL, 1 - TAIL, GRID, dtype=torch.float64)
    axis = torch.special.ndtri(quantiles).float()
    rows, columns = torch.meshgrid(axis.flip(0), axis, indexing="ij")
    plane = torch.stack([columns, rows], -1).view(-1, 2)
    device = next(evaluation.family.networks.parameters()).device
    found = evaluation.at_epochs(lambda family: family.sample(plane.to(device)), evaluation.shown_epochs)
    prior = NormalDist()
    end = prior.inv_cdf(1 - TAIL)
    marks = (-end, -1.0, 0.0, 1.0, end)
    places = [0.5 + (GRID - 1) * (prior.cdf(mark) - TAIL) / (1 - 2 * TAIL) for mark in marks]
    steps = f"equal steps of the prior's quantiles, {TAIL:g} to {1 - TAIL:g}"
    figure = new_figure(4.2 * len(found), 4.8, f"Manifold: {GRID} by {GRID} latents at {steps}")
    for axes, (epoch, images) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
        sheet = tile(to_uint8(images, "manifold").numpy(), GRID, gap=0)
        axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, extent=(0, GRID, 0, GRID))
        axes.set_xticks(places, [f"{mark:.3g}" for mark in marks])
        axes.set_yticks(places, [f"{mark:.3g}" for mark in marks])
        axes.set_title(at_epoch(epoch), fontsize=10)
        axes.set(xlabel="$z_1$ (quantile scale)", ylabel="$z_2$ (quantile scale)")
    save_grey(figure, evaluation.folder / "U1.15-manifold.png")


def _draw_aggregate_posterior(evaluation: Evaluation) -> None:
    """Draw one draw of z per test image in the colour of its class, and circles around the prior."""
    from matplotlib.patches import Circle

    test, labels = evaluation.splits["test"].pixels, evaluation.labels("test")
    places = _evenly_spaced(len(test), POINTS)
    chosen = test[places]
    latents = evaluation.family.encode(chosen, 1).squeeze(1).cpu().numpy()
    title = f"Aggregate posterior: one draw of z for each of {len(chosen):,} test images"
    figure = new_figure(8.2, 6.2, title)
    axes = figure.subplots()
    for text, colour, points in _classes(None if labels is None else labels[places].numpy(), latents):
        axes.scatter(points[:, 0], points[:, 1], s=10, color=colour, linewidths=0, label=text)
    for radius in (1, 2):
        axes.add_patch(Circle((0, 0), radius, fill=False, color=INK, linestyle="--", linewidth=0.8))
    axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    outside = int((abs(latents) > REACH).any(1).sum())
    tidy(axes, "$z_1$ (dashed: one and two standard deviations of the prior)", "$z_2$")
    note = f"\n({outside} images lie\noutside the axes)" if outside else ""
    own = evaluation.splits["test"].data.has_labels("test")
    heading = "no labels" if labels is None else "label" if own else "classifier's label"
    figure.legend(title=f"{heading}{note}", loc="outside right center", frameon=False, markerscale=2.5)
    save(figure, evaluation.folder / "U1.15-posterior.png")


def _classes(labels: np.ndarray | None, latents: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield name, colour and latents of each class; all as one class if there are no labels.

    If there are more classes than colours, the last colour stands for all further ones.
    """
    if labels is None:
        yield "images", CLASS_COLOURS[0], latents
        return
    last = len(CLASS_COLOURS) - 1
    for label, colour in enumerate(CLASS_COLOURS):
        further = label == last and (labels > last).any()
        name = f"{label} and above" if further else str(label)
        yield name, colour, latents[labels >= label if further else labels == label]
