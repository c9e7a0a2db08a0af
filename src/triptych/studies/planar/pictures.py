"""The pictures of planar flows, M3.2, M3.7 and M3.9."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from triptych.figures.curves import curves_over_iterations, values_over_layers
from triptych.figures.density_panels import Panel, density_panels, transformed_points
from triptych.figures.style import save
from triptych.objectives.planar import loss1, planar_transformation
from triptych.studies.base import StudyEvaluation
from triptych.studies.planar.densities import DENSITIES, WALL, grid
from triptych.studies.planar.planar_flow import PlanarFlow
from triptych.studies.planar.training import configurations, load_flows
from triptych.training.reproducible import generator

SIDES = (6.0, 4.0)  # half sides of the pictures
STEP = 0.06
SHOWN = 2000  # points in a picture
LAYERS = (  # u, w and b of M3.2
    ((2.0, 0.0), (2.0, 0.0), 0.0),
    ((2.0, 0.0), (5.0, 0.0), 2.5),
    ((0.0, 2.0), (2.0, 0.0), 0.0),
    ((-0.45, 0.0), (2.0, 0.0), 0.0),
    ((-2.0, 0.0), (2.0, 0.0), 0.0),
)
CONFINED = f"The sine has no finite integral along $z_1$: a soft wall confines it beyond $|z_1|$ = {WALL:g}."


def draw_pictures(evaluation: StudyEvaluation, numbers: Mapping[str, Any]) -> None:
    """Draw one layer's effect, densities, samples and likelihoods of flows fitted to samples; else samples and KL."""
    flows = load_flows(evaluation)
    if evaluation.settings.fitted_to == "samples":
        _draw_transformation(evaluation)
        _draw_densities(evaluation, flows)
        _draw_fitted_samples(evaluation, flows)
        _draw_likelihoods(evaluation, numbers)
    else:
        _draw_samples(evaluation, flows)
        _draw_divergences(evaluation)


def _draw_transformation(evaluation: StudyEvaluation) -> None:
    z = torch.randn(SHOWN, 2, generator=generator(evaluation.settings.seed, "transformed points"))
    shown = [("samples of N(0, I)", z.numpy())]
    for u, w, b in LAYERS:
        inner = sum(left * right for left, right in zip(u, w, strict=True))
        heading = f"u = ({u[0]:g}, {u[1]:g}), w = ({w[0]:g}, {w[1]:g}), b = {b:g}"
        kind = f"w'u = {inner:g}" + ("" if inner >= -1 else ": folds over, not invertible")
        mapped = planar_transformation(z, torch.tensor(u), torch.tensor(w), torch.tensor([b]))
        shown.append((f"{heading}\n{kind}", mapped.numpy()))
    title = "The planar transformation z + u tanh(w'z + b), points coloured by their first $z_1$"
    figure = transformed_points(shown, colours=z[:, 0].numpy(), sides=(6.0, 6.0), title=title)
    save(figure, evaluation.folder / "M3.2-transformation.png")


def _draw_densities(evaluation: StudyEvaluation, flows: dict[str, PlanarFlow]) -> None:
    settings = evaluation.settings
    rows = [
        [
            Panel(f"{name}: true density", _true_density(name)),
            *(Panel(f"k = {k}", _learned_density(flows[f"{name}-k{k}"])) for k in settings.layers),
        ]
        for name in settings.densities
    ]
    title = "Densities learned from samples by k planar layers"
    figure = density_panels(rows, sides=SIDES, title=title, bar="density per unit area")
    save(figure, evaluation.folder / "M3.7-densities.png")


def _true_density(name: str) -> np.ndarray:
    density = DENSITIES[name]
    return _image((-density.energy(grid(STEP, SIDES)) - density.log_normaliser()).exp())


@torch.no_grad()
def _learned_density(flow: PlanarFlow) -> np.ndarray:
    x, log_det = flow(grid(STEP, SIDES))
    return _image((-loss1(x[:, None], log_det[:, None])).exp())


def _image(values: Tensor) -> np.ndarray:
    """Return values on the pictures' grid as an image, z2 upwards."""
    return values.view(round(2 * SIDES[0] / STEP), -1).T.numpy()


@torch.no_grad()
def _draw_fitted_samples(evaluation: StudyEvaluation, flows: dict[str, PlanarFlow]) -> None:
    settings = evaluation.settings
    base = torch.randn(SHOWN, 2, generator=generator(settings.seed, "shown samples"), dtype=torch.float64)
    rows = []
    for name in settings.densities:
        data = DENSITIES[name].sample(SHOWN, generator(settings.seed, "shown data", name))
        row = [Panel(f"{name}: data", points=data.numpy())]
        row += [Panel(f"k = {k}", points=flows[f"{name}-k{k}"].inverse(base)[0].numpy()) for k in settings.layers]
        rows.append(row)
    title = f"{SHOWN:,} samples of the flows fitted to samples, each layer inverted numerically"
    save(density_panels(rows, sides=SIDES, title=title), evaluation.folder / "M3.7-samples.png")


def _draw_likelihoods(evaluation: StudyEvaluation, numbers: Mapping[str, Any]) -> None:
    settings = evaluation.settings
    lines: dict[str, dict[int, tuple[float, float]]] = {name: {} for name in settings.densities}
    for configuration, (name, k) in configurations(settings).items():
        found = numbers[configuration]["held_out"]
        lines[name][k] = found["negative_log_likelihood"], found["negative_log_likelihood_standard_error"]
    floors = {name: numbers[f"{name}-k{settings.layers[0]}"]["entropy"] for name in settings.densities}
    title = "Negative log-likelihood of fresh samples"
    figure = values_over_layers(lines, floors, title, "nats (lower is better)")
    save(figure, evaluation.folder / "M3.7-likelihood.png")


@torch.no_grad()
def _draw_samples(evaluation: StudyEvaluation, flows: dict[str, PlanarFlow]) -> None:
    settings = evaluation.settings
    base = torch.randn(SHOWN, 2, generator=generator(settings.seed, "shown samples"), dtype=torch.float64)
    rows = [
        [
            Panel(f"{name}, k = {k}", _true_density(name), flows[f"{name}-k{k}"](base)[0].numpy())
            for k in settings.layers
        ]
        for name in settings.densities
    ]
    title = f"{SHOWN:,} samples of the flows fitted to the densities, over the true densities"
    figure = density_panels(rows, sides=SIDES, title=title, note=CONFINED if "sine" in settings.densities else "")
    save(figure, evaluation.folder / "M3.9-samples.png")


def _draw_divergences(evaluation: StudyEvaluation) -> None:
    settings, last = evaluation.settings, evaluation.history[-1]["iteration"]
    lines = {
        name: {
            f"k = {k}": [(row["iteration"], row[f"{name}-k{k}.kl"]) for row in evaluation.history]
            for k in settings.layers
        }
        for name in settings.densities
    }
    mark = (1 - settings.annealing.start) * settings.annealing.ramp * last if settings.annealing else None
    title = "Divergence of the flow from the density during training"
    title += ", with an annealed loss" if settings.annealing else ""
    figure = curves_over_iterations(lines, title=title, label="KL(q || p), nats", mark=mark)
    save(figure, evaluation.folder / "M3.9-kl.png")
