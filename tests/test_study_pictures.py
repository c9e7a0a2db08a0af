"""The pictures of the studies show the numbers that their titles name, without any training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from triptych.figures.density_panels import LEVELS
from triptych.settings.params import Settings, parse
from triptych.studies.base import StudyEvaluation
from triptych.studies.dirac import pictures as dirac_pictures
from triptych.studies.dirac.measure import REACHED
from triptych.studies.dirac.settings import Penalty
from triptych.studies.planar import pictures as planar_pictures
from triptych.studies.planar.densities import DENSITIES
from triptych.studies.planar.settings import Annealing
from triptych.training.weights import save_tensors

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHIFT = torch.tensor([2.0, -1.0])  # of the only layer of each flow
PLACES = [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (-2.0, 1.0), (2.0, -1.0), (2.0, 0.0), (0.0, 2.0), (5.0, 3.0)]


@pytest.fixture(scope="module")
def settings(params: dict) -> Settings:
    return parse(params)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Return a dictionary that gets each figure under the name of its file, in place of the file."""
    saved: dict[str, Figure] = {}
    for module in (planar_pictures, dirac_pictures):
        monkeypatch.setattr(module, "save", lambda figure, path: saved.update({path.name: figure}))
    return saved


def draw_planar(settings: Settings, name: str, folder: Path, **changes: object) -> None:
    """Draw the pictures of flows with one layer, which shifts all points."""
    layer = {"u": SHIFT[None], "w": torch.zeros(1, 2), "b": torch.full((1, 1), 50.0)}
    tensors = {f"{density}-k1/{part}": value.clone() for density in DENSITIES for part, value in layer.items()}
    save_tensors(folder / "weights.safetensors", tensors)
    numbers = {
        f"{density}-k1": {
            "held_out": {"negative_log_likelihood": 3.0 + place, "negative_log_likelihood_standard_error": 0.25},
            "entropy": 2.0 + place,
        }
        for place, density in enumerate(DENSITIES)
    }
    history = [{"iteration": t, "arcs-k1.kl": 5.0 / t, "sine-k1.kl": 7.0 / t} for t in (100, 200)]
    chosen = settings.study(name).model_copy(update={"layers": [1], **changes})
    planar_pictures.draw_pictures(StudyEvaluation(chosen, folder / "weights.safetensors", history, folder), numbers)


def true_density(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    density = DENSITIES[name]
    return lambda z: (-density.energy(z) - density.log_normaliser()).exp()


def assert_shows(axes: Axes, density: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Compare the colours at some places with the density there, up to the width of a level of the colour scale."""
    [image] = axes.images
    left, right, bottom, top = image.get_extent()
    assert image.origin == "lower"
    values, highest = np.asarray(image.get_array()), image.norm.vmax
    rows, columns = values.shape
    for x, y in PLACES:
        row, column = int((y - bottom) / (top - bottom) * rows), int((x - left) / (right - left) * columns)
        centre = left + (column + 0.5) * (right - left) / columns, bottom + (row + 0.5) * (top - bottom) / rows
        wanted = min(float(density(torch.tensor(centre).double())), highest)
        assert values[row, column] == pytest.approx(wanted, abs=highest / (LEVELS - 1) + 1e-9), (x, y)


def test_densities_are_at_their_places(settings: Settings, figures: dict, tmp_path: Path) -> None:
    """The flow maps data to the base, so it has learned the density N(-shift, I)."""
    draw_planar(settings, "planar-samples", tmp_path)
    panels = figures["M3.7-densities.png"].axes[:4]
    learned = MultivariateNormal(-SHIFT.double(), torch.eye(2).double())
    assert [axes.get_title() for axes in panels] == ["arcs: true density", "k = 1", "sine: true density", "k = 1"]
    for place, name in enumerate(DENSITIES):
        assert_shows(panels[2 * place], true_density(name))
        assert_shows(panels[2 * place + 1], lambda z: learned.log_prob(z).exp())
    highest = float(true_density("arcs")(torch.tensor([2.0, 0.0])))
    assert [axes.images[0].norm.vmax for axes in panels] == pytest.approx([highest] * 4, rel=0.01)


def test_samples_are_those_of_data_and_flows(settings: Settings, figures: dict, tmp_path: Path) -> None:
    draw_planar(settings, "planar-samples", tmp_path)
    draw_planar(settings, "planar-density", tmp_path)
    fitted = figures["M3.7-samples.png"].axes
    over_densities = figures["M3.9-samples.png"].axes
    for place, name in enumerate(DENSITIES):
        assert mean_of(fitted[2 * place]) == pytest.approx([0, 0], abs=0.2)
        assert mean_of(fitted[2 * place + 1]) == pytest.approx((-SHIFT).tolist(), abs=0.1)
        assert_shows(over_densities[place], true_density(name))
        assert mean_of(over_densities[place]) == pytest.approx(SHIFT.tolist(), abs=0.1)


def mean_of(axes: Axes) -> list[float]:
    [points] = axes.lines
    return np.mean(points.get_xydata(), axis=0).tolist()


def test_likelihoods_stand_over_the_entropy(settings: Settings, figures: dict, tmp_path: Path) -> None:
    draw_planar(settings, "planar-samples", tmp_path)
    [axes] = figures["M3.7-likelihood.png"].axes
    shown = {line.get_label(): set(line.get_ydata()) for line in axes.lines if "entropy" in line.get_label()}
    assert shown == {"arcs: entropy 2.000": {2.0}, "sine: entropy 3.000": {3.0}}
    for place, flow in enumerate(axes.containers):
        line, _, [bar] = flow
        assert flow.get_label() == f"{list(DENSITIES)[place]}: flow"
        assert line.get_ydata().tolist() == [3.0 + place]
        assert bar.get_segments()[0][:, 1].tolist() == [2.75 + place, 3.25 + place]


def test_divergences_have_a_mark_where_annealing_ends(settings: Settings, figures: dict, tmp_path: Path) -> None:
    """The factor 0.25 + t / (0.5 * 200) is 1 after 75 iterations."""
    draw_planar(settings, "planar-density", tmp_path, annealing=Annealing(start=0.25, ramp=0.5))
    for axes, first in zip(figures["M3.9-kl.png"].axes, (5.0, 7.0), strict=True):
        curve, mark = axes.lines
        assert curve.get_xydata().tolist() == [[100, first / 100], [200, first / 200]]
        assert mark.get_label() == "end of annealing"
        assert set(mark.get_xdata()) == {75}


def draw_game(settings: Settings, folder: Path) -> None:
    """Draw one game under W1 without a penalty, and the same game with an averaged generator."""
    changes = {"losses": ["w1"], "penalties": [Penalty(reg_type="none")]}
    trajectory = torch.tensor([[1.0, 100.0, 2.0, 3.0], [0.5, 200.0, 0.25, -0.125]], dtype=torch.float64)
    games = ("w1-1", "w1-2")
    tensors = {f"{name}/trajectory": trajectory * factor for name, factor in zip(games, (1, -1), strict=True)}
    save_tensors(folder / "weights.safetensors", tensors)
    history = [{"iteration": t, "w1-1.distance": 8.0 / t, "w1-2.distance": 9.0 / t} for t in (1, 2)]
    evaluation = StudyEvaluation(
        settings.study("dirac").model_copy(update=changes), folder / "weights.safetensors", history, folder
    )
    dirac_pictures.draw_pictures(evaluation, {name: {"verdict": "circles"} for name in games})


def test_portraits_show_the_slope_over_the_judged_generator(settings: Settings, figures: dict, tmp_path: Path) -> None:
    draw_game(settings, tmp_path)
    for axes, sign in zip(figures["M2.6-trajectories.png"].axes, (1, -1), strict=True):
        _, path, ring, dot = axes.lines
        assert path.get_xydata().tolist() == [[3 * sign, 1 * sign], [-0.125 * sign, 0.5 * sign]]
        assert ring.get_xydata().tolist() == [[3 * sign, 1 * sign]]
        assert ring.get_markerfacecolor() == "none"
        assert dot.get_xydata().tolist() == [[-0.125 * sign, 0.5 * sign]]
        assert axes.get_ylabel() == r"$\psi_0$"
        assert r"$\theta$" in axes.get_xlabel()


def test_distances_are_shown_from_a_tenth_of_that_of_convergence(
    settings: Settings, figures: dict, tmp_path: Path
) -> None:
    draw_game(settings, tmp_path)
    [axes] = figures["M2.6-distance.png"].axes  # without the game that only differs in its judged generator
    [curve] = axes.lines
    assert curve.get_xydata().tolist() == [[1, 8], [2, 4]]
    assert axes.get_ylim() == pytest.approx((REACHED / 10, 16))
